-- Run once, when the volume is new; the api's database is POSTGRES_DB.
CREATE DATABASE gatehouse_cell;
