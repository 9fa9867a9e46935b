"""Nova's removed move of key pairs, restated with SQLAlchemy from what is written of it, for bench/online-data-migrations.ts.

  python3 nova_key_pair_move.py api-url cell-url rows

One cell, batches of 50 live rows in any order. Each row is inserted in the API database by a transaction of its own, an existing
one is kept, and the row is soft-deleted in the cell by another. Prints one JSON object: rows, seconds, and CPU milliseconds of this process.
"""
import datetime
import json
import sys
import time

import sqlalchemy as sa
from sqlalchemy import exc, orm

BATCH_ROWS = 50
Base = orm.declarative_base()


class ApiKeyPair(Base):
    __tablename__ = 'key_pairs'
    user_id = sa.Column(sa.String(255), primary_key=True)
    name = sa.Column(sa.String(255), primary_key=True)
    fingerprint = sa.Column(sa.String(255))
    public_key = sa.Column(sa.Text)
    type = sa.Column(sa.String(16))
    created_at = sa.Column(sa.DateTime)


CellBase = orm.declarative_base()


class CellKeyPair(CellBase):
    __tablename__ = 'key_pairs'
    id = sa.Column(sa.Integer, primary_key=True)
    user_id = sa.Column(sa.String(255))
    name = sa.Column(sa.String(255))
    fingerprint = sa.Column(sa.String(255))
    public_key = sa.Column(sa.Text)
    type = sa.Column(sa.String(16))
    created_at = sa.Column(sa.DateTime)
    updated_at = sa.Column(sa.DateTime)
    deleted_at = sa.Column(sa.DateTime)
    deleted = sa.Column(sa.Integer)


def sessions_of(url):
    return orm.sessionmaker(sa.create_engine(url), expire_on_commit=False)


def move(api, cell, count):
    with cell.begin() as session:
        rows = session.query(CellKeyPair).filter_by(deleted=0).limit(count).all()
    for row in rows:
        values = {name: getattr(row, name) for name in ('user_id', 'name', 'fingerprint', 'public_key', 'type')}
        try:
            with api.begin() as session:
                session.add(ApiKeyPair(created_at=datetime.datetime.utcnow(), **values))
        except exc.IntegrityError:
            pass  # the newer one is there
        with cell.begin() as session:
            (session.query(CellKeyPair).filter_by(user_id=row.user_id, name=row.name, deleted=0)
             .update({'deleted': CellKeyPair.id, 'deleted_at': datetime.datetime.utcnow(), 'updated_at': CellKeyPair.updated_at},
                     synchronize_session=False))
    return len(rows)


def main():
    api_url, cell_url, wanted = sys.argv[1:]
    api, cell = sessions_of(api_url), sessions_of(cell_url)
    move(api, cell, BATCH_ROWS)  # connections are made, statements compiled
    done, began, cpu = 0, time.monotonic(), time.process_time()
    while done < int(wanted):
        moved = move(api, cell, BATCH_ROWS)
        if moved == 0:
            break
        done += moved
    print(json.dumps({'rows': done, 'seconds': time.monotonic() - began, 'cpuMs': (time.process_time() - cpu) * 1_000}))


main()
