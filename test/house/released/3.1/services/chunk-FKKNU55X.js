import { createRequire as createRequireFor } from 'node:module';
const requireFor = (room) => createRequireFor(new URL(`../../../../../${room}/package.json`, import.meta.url));
import{KeyPairList,ServiceError,isServiceError,systemClock}from"./chunk-RZZANT7V.js";import{__name}from"./chunk-YMXUMM6X.js";import pg from"pg";import{PrismaPg}from"@prisma/adapter-pg";import{createHash,randomUUID}from"node:crypto";var LOCK=72707369,LOCK_WAIT_SECONDS=60,TABLE_WAIT_SECONDS=10,HISTORY=`CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                  VARCHAR(36) PRIMARY KEY NOT NULL,
    "checksum"            VARCHAR(64) NOT NULL,
    "finished_at"         TIMESTAMPTZ,
    "migration_name"      VARCHAR(255) NOT NULL,
    "logs"                TEXT,
    "rolled_back_at"      TIMESTAMPTZ,
    "started_at"          TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0)`;async function applyMigrations(client,schema,migrations){if(missing(migrations,await history(client,schema)).length===0)return[];await client.query("BEGIN");try{await lock(client),schema!=="public"&&await client.query(`CREATE SCHEMA IF NOT EXISTS "${schema}"`),await client.query(HISTORY);let toApply=missing(migrations,await history(client,schema));for(let migration of toApply)await apply(client,migration);return await client.query("COMMIT"),
toApply.map(({name})=>name)}catch(error){throw await client.query("ROLLBACK").catch(()=>{}),error}}__name(applyMigrations,"applyMigrations");async function history(client,schema){if((await client.query("SELECT to_regclass($1)::text AS found",[`"${schema}"."_prisma_migrations"`])).rows[0]?.found==null)return[];let{rows}=await client.query('SELECT migration_name, checksum, finished_at IS NOT NULL AS is_finished FROM "_prisma_migrations" WHERE rolled_back_at IS NULL');return rows}__name(history,"hi\
story");function missing(migrations,applied){let known=new Map(applied.map(row=>[row.migration_name,row]));return migrations.filter(migration=>{let row=known.get(migration.name);if(row===void 0)return!0;if(!row.is_finished)throw new ServiceError("FAILED_PRECONDITION",`the migration ${migration.name} has failed half way before; put it right with prisma migrate resolve`);if(row.checksum!==checksum(migration))throw new ServiceError("FAILED_PRECONDITION",`the migration ${migration.name} is not the o\
ne that this database was made with; add a new one instead of editing it`);return!1})}__name(missing,"missing");async function lock(client){await client.query(`SET LOCAL lock_timeout = '${LOCK_WAIT_SECONDS}s'`);try{await client.query("SELECT pg_advisory_xact_lock($1)",[LOCK])}catch(cause){throw cause.code!=="55P03"?cause:new ServiceError("UNAVAILABLE",`another process is migrating this database for more than ${LOCK_WAIT_SECONDS} seconds`,{cause})}await client.query(`SET LOCAL lock_timeout = '${TABLE_WAIT_SECONDS}\
s'`)}__name(lock,"lock");async function apply(client,migration){let startedAt=new Date;try{await client.query(migration.sql)}catch(cause){let{message:message2}=cause;throw new ServiceError("INTERNAL",`the migration ${migration.name} failed and nothing was changed: ${message2}`,{cause})}await client.query(`INSERT INTO "_prisma_migrations" (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
     VALUES ($1, $2, $3, $4, $5, 1)`,[randomUUID(),checksum(migration),migration.name,startedAt,new Date])}__name(apply,"apply");function checksum(migration){return createHash("sha256").update(migration.sql).digest("hex")}__name(checksum,"checksum");var UNREACHABLE={code:"UNAVAILABLE",message:"the database cannot be reached"},BUSY={code:"UNAVAILABLE",message:"the database is too busy to answer in time; try again"},REFUSED_US={code:"UNAVAILABLE",message:"the database refused our user or password"},NO_DATABASE={code:"UNAVAILABLE",message:"the database that the URL names does not exist"},NO_TABLES={code:"UNAVAILABLE",message:"the database has not been migrated yet"},CONFLICT={code:"UNAVAILABLE",message:"another transaction changed the same row\
s; try again"},TAKEN={code:"ALREADY_EXISTS",message:"a row with the same key exists already"},NO_PARENT={code:"FAILED_PRECONDITION",message:"the row that this one refers to does not exist, or is still referred to"},BAD_VALUE={code:"INVALID_ARGUMENT",message:"a value does not fit its column"},BY_SQLSTATE={23505:TAKEN,23503:NO_PARENT,23001:NO_PARENT,23502:BAD_VALUE,23514:BAD_VALUE,"42P01":NO_TABLES,"3F000":NO_TABLES,"3D000":NO_DATABASE,28e3:REFUSED_US,"28P01":REFUSED_US,40001:CONFLICT,"40P01":CONFLICT,
"55P03":CONFLICT,57014:BUSY,53:BUSY,22:BAD_VALUE,"08":UNREACHABLE,57:UNREACHABLE},BY_PRISMA={P1000:REFUSED_US,P1001:UNREACHABLE,P1002:BUSY,P1003:NO_DATABASE,P1008:BUSY,P1010:REFUSED_US,P1011:UNREACHABLE,P1017:UNREACHABLE,P2000:BAD_VALUE,P2002:TAKEN,P2003:NO_PARENT,P2006:BAD_VALUE,P2007:BAD_VALUE,P2011:BAD_VALUE,P2020:BAD_VALUE,P2021:NO_TABLES,P2023:BAD_VALUE,P2024:BUSY,P2025:{code:"NOT_FOUND",message:"no such row"},P2028:BUSY,P2033:BAD_VALUE,P2034:CONFLICT,P2037:BUSY},SOCKET_CODES=new Set(["ECON\
NREFUSED","ECONNRESET","ENOTFOUND","EAI_AGAIN","ETIMEDOUT","EPIPE","EHOSTUNREACH","ENETUNREACH","ENOENT","EACCES"]),DRIVER_WORDS=[[/^Connection terminated|^Client has encountered a connection error|^Cannot use a pool after/,UNREACHABLE],[/^timeout exceeded when trying to connect|^Query read timeout|timeout expired/,BUSY]];function toDatabaseError(error){for(let each of chain(error)){if(isServiceError(each))return each;let refusal=refusalOf(each);if(refusal!==void 0)return new ServiceError(refusal.
code,refusal.message,{cause:error})}return new ServiceError("INTERNAL","the database answered something unexpected",{cause:error})}__name(toDatabaseError,"toDatabaseError");function isWriteConflict(error){return isServiceError(error)&&error.code==="UNAVAILABLE"&&error.message===CONFLICT.message}__name(isWriteConflict,"isWriteConflict");function*chain(error){let waiting=[error];for(let seen=0;waiting.length>0&&seen<8;seen+=1){let each=waiting.shift();if(typeof each!="object"||each===null)continue;
let fields=each;yield fields;let meta=fields.meta;waiting.push(meta?.driverAdapterError,fields.cause),Array.isArray(fields.errors)&&waiting.push(...fields.errors.slice(0,2))}}__name(chain,"chain");function refusalOf(error){let state=error.originalCode??error.code;if(typeof state=="string"){if(SOCKET_CODES.has(state))return UNREACHABLE;let known=BY_SQLSTATE[state]??(state.length===5&&!state.startsWith("P")?BY_SQLSTATE[state.slice(0,2)]:BY_PRISMA[state]);if(known!==void 0)return known}if(error.kind===
"DatabaseNotReachable"||error.kind==="ConnectionClosed"||error.kind==="TlsConnectionError"||error.name==="PrismaClientInitializationError")return UNREACHABLE;if(error.name==="PrismaClientValidationError")return BAD_VALUE;let message2=typeof error.message=="string"?error.message:"";return DRIVER_WORDS.find(([words])=>words.test(message2))?.[1]}__name(refusalOf,"refusalOf");import{mkdir}from"node:fs/promises";var SHARED_BUFFERS="8MB";async function openEmbeddedPostgresql(dataDir){let backend;try{dataDir.includes("://")||await mkdir(dataDir,{recursive:!0,mode:448});let{PGlite}=await import("./pglite-PWUVQTQH.js"),startParams=[...PGlite.defaultStartParams,"-c",`shared_buffers=${SHARED_BUFFERS}`];backend=await PGlite.create({dataDir,startParams})}catch(cause){throw new ServiceError("FAILED_PRECONDITION",`the embedded database cannot use ${dataDir}; move it away to start with an empty one`,{cause})}
let last=Promise.resolve(),schemaNow,isClosed=!1;async function select(schema){schemaNow!==schema&&(schemaNow=void 0,await backend.exec(`SET search_path TO "${schema}"`),schemaNow=schema)}__name(select,"select");async function takeTurn(schema){if(!/^[a-z][a-z0-9_]*$/.test(schema))throw new ServiceError("INVALID_ARGUMENT",`${schema} cannot be the name of a schema`);let before=last,release=__name(()=>{},"release");last=new Promise(resolve=>{release=resolve}),await before;try{if(isClosed)throw new ServiceError(
"UNAVAILABLE","the embedded database is closed");await select(schema)}catch(error){throw release(),error}return{exchange:__name(messages=>backend.execProtocolRaw(messages),"exchange"),release}}return __name(takeTurn,"takeTurn"),{takeTurn,async close(){isClosed||(isClosed=!0,await last,await backend.close())}}}__name(openEmbeddedPostgresql,"openEmbeddedPostgresql");import{Duplex}from"node:stream";var PROTOCOL_3_0=196608,TERMINATE=88,READY_FOR_QUERY=90,IDLE=73,ROLLBACK=Buffer.concat([message("S",Buffer.alloc(0)),message("Q",Buffer.from("ROLLBACK\0"))]),MESSAGE_BYTES_MAX=64*1024*1024,START_UP_BYTES_MAX=1e4,WELCOME=Buffer.concat([message("R",int32(0)),message("S",Buffer.from("client_encoding\0UTF8\0")),message("S",Buffer.from("standard_conforming_strings\0on\0")),message("K",Buffer.concat([int32(0),int32(0)])),message("Z",Buffer.from("I"))]),EmbeddedSocket=class extends Duplex{static{__name(
this,"EmbeddedSocket")}#server;#schema;#hasStarted=!1;#received=Buffer.alloc(0);#turn;#exchange=Promise.resolve();constructor(server,schema){super({allowHalfOpen:!1}),this.#server=server,this.#schema=schema}connect(){return queueMicrotask(()=>this.emit("connect")),this}setNoDelay(){return this}setKeepAlive(){return this}ref(){return this}unref(){return this}_read(){}_write(chunk,_encoding,done){this.#received=this.#received.length===0?chunk:Buffer.concat([this.#received,chunk]),this.#exchange=this.#handle(),
this.#exchange.then(()=>done(),error=>done(error instanceof Error?error:new Error(String(error))))}_writev(chunks,done){this._write(Buffer.concat(chunks.map(({chunk})=>chunk)),"binary",done)}_final(done){this.push(null),done()}_destroy(error,done){done(error),this.#exchange.catch(()=>{}).then(()=>this.#turn?.exchange(ROLLBACK)).catch(()=>{}).then(()=>this.#endTurn())}async#handle(){if(!this.#hasStarted&&!this.#start())return;let{whole,isLast}=this.#takeWholeMessages();if(whole.length>0){if(this.#turn??=
await this.#server.takeTurn(this.#schema),this.destroyed)return;let answer=await this.#turn.exchange(whole);isIdle(answer)&&this.#endTurn(),answer.length>0&&!this.destroyed&&this.push(answer)}isLast&&this.push(null)}#start(){if(this.#received.length<8)return!1;let length=this.#received.readInt32BE(0);if(this.#received.readInt32BE(4)!==PROTOCOL_3_0||length<8||length>START_UP_BYTES_MAX)throw new Error("the embedded database speaks PostgreSQL's protocol 3.0 without TLS, nothing else");return this.#received.
length<length?!1:(this.#received=this.#received.subarray(length),this.#hasStarted=!0,this.push(WELCOME),!0)}#takeWholeMessages(){let all=this.#received,end=0,isLast=!1;for(;all.length-end>=5&&(isLast=all[end]===TERMINATE,!isLast);){let length=all.readInt32BE(end+1);if(length<4||length>MESSAGE_BYTES_MAX)throw new Error(`a protocol message of ${length} bytes; 4 to ${MESSAGE_BYTES_MAX} are possible`);if(all.length-end<1+length)break;end+=1+length}return this.#received=isLast?Buffer.alloc(0):all.subarray(
end),{whole:all.subarray(0,end),isLast}}#endTurn(){this.#turn?.release(),this.#turn=void 0}};function isIdle(answer){let at=answer.length-6;return at>=0&&answer[at]===READY_FOR_QUERY&&answer[at+4]===5&&answer[at+5]===IDLE}__name(isIdle,"isIdle");function message(type,body){return Buffer.concat([Buffer.from(type),int32(body.length+4),body])}__name(message,"message");function int32(value){let bytes=Buffer.alloc(4);return bytes.writeInt32BE(value),bytes}__name(int32,"int32");var CONNECTIONS_MAX=10,EMBEDDED_CONNECTIONS_MAX=1,CONNECT_TIMEOUT_MS=5e3,QUERY_TIMEOUT_MS=15e3,IDLE_TIMEOUT_MS=3e4,IS_APPLIED="SELECT 1 FROM _prisma_migrations WHERE migration_name = $1 AND finished_at IS NOT NULL AND rolled_back_at IS NULL";async function openDatabase(source,kind){if("url"in source){let config3={connectionString:checkedUrl(source.url),max:source.connectionsMax??CONNECTIONS_MAX};return databaseOf(config3,"public",kind.migrations,async()=>{})}let server="embedded"in source?source.
embedded:await openEmbeddedPostgresql(source.dataDir);return databaseOf({max:EMBEDDED_CONNECTIONS_MAX,stream:__name(()=>new EmbeddedSocket(server,kind.schema),"stream"),host:"embedded",user:"postgres",password:"",database:"postgres",ssl:!1},kind.schema,kind.migrations,"embedded"in source?async()=>{}:()=>server.close())}__name(openDatabase,"openDatabase");function databaseOf(config2,schema,migrations,release){let limits={connectionTimeoutMillis:CONNECT_TIMEOUT_MS,query_timeout:QUERY_TIMEOUT_MS,idleTimeoutMillis:IDLE_TIMEOUT_MS,
keepAlive:!0,application_name:"gatehouse"},pool=new pg.Pool({...limits,...config2});pool.on("error",()=>{}),pool.on("release",(_error,client)=>{client.getTransactionStatus()!=="I"&&client.end().catch(()=>{})});let newest=migrations.at(-1)?.name??"",closing;return{adapter:new PrismaPg(pool,{schema}),async migrate(){let client=new pg.Client({...limits,...config2,query_timeout:0});client.on("error",()=>{});try{return await client.connect(),{applied:await applyMigrations(client,schema,migrations)}}catch(error){
throw toDatabaseError(error)}finally{await client.end().catch(()=>{})}},async check(){let{rowCount}=await pool.query(IS_APPLIED,[newest]).catch(error=>{throw toDatabaseError(error)});if(rowCount===0)throw new ServiceError("UNAVAILABLE",`the database lacks the migration ${newest}`)},close(){return closing??=pool.end().then(release),closing}}}__name(databaseOf,"databaseOf");function checkedUrl(text){let expected="expected a database URL like postgresql://user:password@host:5432/name",url=URL.canParse(
text)?new URL(text):void 0;if(!(url!==void 0&&["postgresql:","postgres:"].includes(url.protocol)&&url.pathname.length>=2&&(url.hostname!==""||url.searchParams.has("host"))))throw new ServiceError("INVALID_ARGUMENT",expected);if(url.searchParams.has("schema"))throw new ServiceError("INVALID_ARGUMENT",`${expected}, without ?schema=: the tables live in public`);return text}__name(checkedUrl,"checkedUrl");import{AsyncLocalStorage}from"node:async_hooks";var TRANSACTION_WAIT_MS=5e3,TRANSACTION_TIMEOUT_MS=1e4,TRANSACTION_ATTEMPTS=3,running=new AsyncLocalStorage,CONVERT_ERRORS={query:{async $allOperations({args,query}){try{return await query(args)}catch(error){let converted=toDatabaseError(error),transaction=running.getStore();throw transaction!==void 0&&(transaction.failure??=converted),converted}}}};function openClient(make,database){let prisma=make({adapter:database.adapter,errorFormat:"minimal"}),root=prisma.$extends(CONVERT_ERRORS);return{root,
transaction:__name(work=>runTransaction(root,work),"transaction"),async close(){await prisma.$disconnect(),await database.close()}}}__name(openClient,"openClient");async function runTransaction(root,work){for(let attempt=1;;attempt+=1){let fromWork;try{return await root.$transaction(async tx=>{let transaction={};try{let result=await running.run(transaction,()=>work(tx));if(transaction.failure!==void 0)throw transaction.failure;return result}catch(error){throw fromWork={error},error}},{maxWait:TRANSACTION_WAIT_MS,
timeout:TRANSACTION_TIMEOUT_MS})}catch(error){let thrown=fromWork!==void 0&&fromWork.error===error?error:toDatabaseError(error);if(attempt===TRANSACTION_ATTEMPTS||!isWriteConflict(thrown))throw thrown}}}__name(runTransaction,"runTransaction");var CONNECTIONS_MAX2=256,ConsoleConnectionsStore=class{static{__name(this,"ConsoleConnectionsStore")}#client;constructor(client){this.#client=client}async upsertAll(connections,options){if(connections.length>CONNECTIONS_MAX2)throw new ServiceError("INVALID_ARGUMENT",`${connections.length} console connections at once; at most ${CONNECTIONS_MAX2} are accepted`);let wanted=connections.map(connection=>columnsOf(connection,options.exclusive));if(new Set(wanted.map(keyOf)).size<wanted.length)throw new ServiceError(
"INVALID_ARGUMENT","a console connection is named twice");if(wanted.length===0)return[];let known=new Map((await this.#rowsOf(wanted)).map(row=>[keyOf(row),row])),changed=wanted.filter(each=>!isSame(each,known.get(keyOf(each))));for(let row of changed.length>0?await this.#write(changed,options.at):[])known.set(keyOf(row),row);return wanted.map(each=>{let row=known.get(keyOf(each));if(row===void 0)throw new ServiceError("INTERNAL","a console connection was not stored");return row})}async find(id){
let row=await this.#client.consoleConnectionRow.findUnique({where:{id}});return row&&connectionOfRow(row)}async findByAddress(address,port){let row=await this.#client.consoleConnectionRow.findFirst({where:{address,port}});return row&&connectionOfRow(row)}async get(id){let found=await this.find(id);if(found===null)throw new ServiceError("NOT_FOUND","this console connection is gone; ask for the console again");return found}async listByInstance(instanceUuid){return(await this.#client.consoleConnectionRow.
findMany({where:{instanceUuid},orderBy:{id:"asc"},take:CONNECTIONS_MAX2*4})).map(connectionOfRow)}async reserve(id,by,until,now){let{count}=await this.#client.consoleConnectionRow.updateMany({where:{id,OR:[{reservedUntil:null},{reservedUntil:{lte:now}},{reservedBy:by}]},data:{reservedBy:by,reservedUntil:until}});return count===1}async deleteReservation(id,by){let{count}=await this.#client.consoleConnectionRow.updateMany({where:{id,reservedBy:by},data:{reservedBy:null,reservedUntil:null}});return count}async deleteForInstance(instanceUuid,exceptIds=[]){
let{count}=await this.#client.consoleConnectionRow.deleteMany({where:{instanceUuid,...exceptIds.length>0?{id:{notIn:[...exceptIds]}}:{}}});return count}async#rowsOf(wanted){return(await this.#client.consoleConnectionRow.findMany({where:{instanceUuid:{in:[...new Set(wanted.map(each=>each.instanceUuid))]}}})).map(connectionOfRow)}async#write(changed,at){let rows=[...changed].sort((a,b)=>keyOf(a)<keyOf(b)?-1:1),written=await this.#client.$queryRaw`
      INSERT INTO console_connections (instance_uuid, host, address, port, console_type, options, exclusive, created_at)
      SELECT c."instanceUuid", c.host, c.address, c.port, c."consoleType", c.options, c.exclusive, ${at}::timestamp(3)
      FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS c
        ("instanceUuid" uuid, host text, address text, port integer, "consoleType" text, options jsonb, exclusive boolean)
      ON CONFLICT (instance_uuid, host, console_type, port) DO UPDATE
        SET address = excluded.address, options = excluded.options, exclusive = excluded.exclusive
      RETURNING id`;return(await this.#client.consoleConnectionRow.findMany({where:{id:{in:written.map(({id})=>id)}}})).map(connectionOfRow)}};function columnsOf(connection,exclusive){let{instanceUuid,host,port,consoleType,options}=connection,address=options.transport==="tcp"?options.address??host:null;return{instanceUuid,host,address,port,consoleType,options,exclusive}}__name(columnsOf,"columnsOf");function keyOf(row){return JSON.stringify([row.instanceUuid.toLowerCase(),row.host,row.consoleType,
row.port])}__name(keyOf,"keyOf");function isSame(wanted,row){if(row===void 0||row.exclusive!==wanted.exclusive||row.address!==wanted.address)return!1;let names=Object.keys(wanted.options);return names.length===Object.keys(row.options).length&&names.every(name=>row.options[name]===wanted.options[name])}__name(isSame,"isSame");function consoleConnectionOf(stored,token={tokenHash:null,accessUrl:null,expires:null}){let{instanceUuid,host,port,consoleType,options}=stored;return Object.freeze({instanceUuid,
host,port,consoleType,options,...token})}__name(consoleConnectionOf,"consoleConnectionOf");function connectionOfRow(row){let{id,options,consoleType,...rest}=row;return Object.freeze({...rest,id:Number(id),consoleType,options:Object.freeze(options)})}__name(connectionOfRow,"connectionOfRow");var SESSIONS_MAX=1e4,OPEN_ATTEMPTS=3,ConsoleSessionsStore=class{static{__name(this,"ConsoleSessionsStore")}#client;constructor(client){this.#client=client}async open(session){for(let attempt=1;attempt<=OPEN_ATTEMPTS;attempt+=1){let[made]=await this.#client.consoleSessionRow.createManyAndReturn({data:[session],skipDuplicates:!0});if(made!==void 0)return sessionOfRow(made);if(await this.find(session.id)!==null)throw new ServiceError("ALREADY_EXISTS",`the console session ${session.id} exists alread\
y`);let{connectionId,host,port}=session,holder=connectionId===null?await this.findOpenForAddress(host,port):await this.findOpenForConnection(connectionId);if(holder!==null)throw inUse(holder)}throw new ServiceError("UNAVAILABLE","this console changes hands too fast; try again")}async find(id){let row=await this.#client.consoleSessionRow.findUnique({where:{id}});return row&&sessionOfRow(row)}async get(id){let found=await this.find(id);if(found===null)throw new ServiceError("NOT_FOUND",`there is n\
o console session ${id}`);return found}findOpenForConnection(connectionId){return this.#findHolder({connectionId})}findOpenForAddress(host,port){return this.#findHolder({connectionId:null,host,port})}async listOpen(filter,limit=SESSIONS_MAX){return(await this.#client.consoleSessionRow.findMany({where:whereOpen(filter),orderBy:[{startedAt:"asc"},{id:"asc"}],take:limit})).map(sessionOfRow)}async listOpenByInstance(instanceUuid){return this.listOpen({instanceUuid})}async countOpen(filter){return this.#client.
consoleSessionRow.count({where:whereOpen(filter)})}async renew(proxy,sessions,leaseExpires){if(sessions.length>SESSIONS_MAX)throw new ServiceError("INVALID_ARGUMENT",`at most ${SESSIONS_MAX} sessions are renewed at once`);if(sessions.length===0)return[];let renewed=await this.#client.$queryRaw`
      UPDATE console_sessions AS s
      SET lease_expires = ${leaseExpires}::timestamp(3), bytes_in = greatest(s.bytes_in, r."bytesIn"), bytes_out = greatest(s.bytes_out, r."bytesOut")
      FROM jsonb_to_recordset(${JSON.stringify(sessions)}::jsonb) AS r (id uuid, "bytesIn" bigint, "bytesOut" bigint)
      WHERE s.id = r.id AND s.proxy = ${proxy} AND s.ended_at IS NULL
      RETURNING s.id::text AS id, s.ending_reason AS reason`,open=new Set(renewed.map(({id})=>id)),missing2=sessions.map(({id})=>id.toLowerCase()).filter(id=>!open.has(id)),ended=missing2.length===0?[]:await this.#client.consoleSessionRow.findMany({where:{id:{in:missing2},proxy,endedAt:{not:null}},select:{id:!0,endReason:!0}});return[...renewed.map(({id,reason})=>({id,isOpen:!0,reason})),...ended.map(({id,endReason})=>({id,isOpen:!1,reason:endReason}))]}async markEnding(filter,reason,at){return await this.#client.
consoleSessionRow.updateMany({where:{...whereOpen(filter),endingAt:null},data:{endingAt:at,endingReason:reason}}),this.listOpen(filter)}async markEndingOfDeleted(reason,at,limit){return this.#client.$executeRaw`
      UPDATE console_sessions SET ending_at = ${at}::timestamp(3), ending_reason = ${reason}
      WHERE id IN (
        SELECT s.id FROM console_sessions AS s JOIN instances AS i ON i.uuid = s.instance_uuid
        WHERE s.ended_at IS NULL AND s.ending_at IS NULL AND i.deleted_at IS NOT NULL LIMIT ${limit}::integer)`}async close(id,end){let rows=await this.#client.consoleSessionRow.updateManyAndReturn({where:{id,endedAt:null},data:{endedAt:end.at,endReason:end.reason,attachSecretHash:null,resumeHash:null,...end.bytesIn===void 0?{}:{bytesIn:end.bytesIn},...end.bytesOut===void 0?{}:{bytesOut:end.bytesOut}}});return rows[0]===void 0?null:sessionOfRow(rows[0])}async closeExpired(now,reason,limit,host=null){
let ended=await this.#client.$queryRaw`
      UPDATE console_sessions
      SET ended_at = ${now}::timestamp(3), end_reason = coalesce(ending_reason, ${reason}::text), attach_secret_hash = NULL, resume_hash = NULL
      WHERE id IN (
        SELECT id FROM console_sessions
        WHERE ended_at IS NULL AND lease_expires <= ${now}::timestamp(3) AND (${host}::text IS NULL OR host = ${host}::text)
        ORDER BY lease_expires LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)
      RETURNING id::text AS id`;return ended.length===0?[]:(await this.#client.consoleSessionRow.findMany({where:{id:{in:ended.map(({id})=>id)}}})).map(sessionOfRow)}async replaceAttachSecret(id,attachSecretHash){let{count}=await this.#client.consoleSessionRow.updateMany({where:{id,endedAt:null},data:{attachSecretHash}});return count===1}async useAttachSecret(id,attachSecretHash,host){let rows=await this.#client.consoleSessionRow.updateManyAndReturn({where:{id,host,attachSecretHash,endedAt:null},
data:{attachSecretHash:null}});return rows[0]===void 0?null:sessionOfRow(rows[0])}async deleteEnded(before,limit){return this.#client.$executeRaw`
      DELETE FROM console_sessions WHERE id IN (
        SELECT id FROM console_sessions WHERE ended_at <= ${before}::timestamp(3) LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`}async#findHolder(where){let row=await this.#client.consoleSessionRow.findFirst({where:{...where,endedAt:null},orderBy:[{exclusive:"desc"},{startedAt:"asc"}]});return row&&sessionOfRow(row)}};function whereOpen({ids,...filter}){return{...filter,...ids===void 0?{}:{id:{in:[...ids]}},endedAt:null}}__name(whereOpen,"whereOpen");function inUse({id,startedAt}){return new ServiceError(
"PORT_IN_USE",`this console is in use since ${startedAt.toISOString()}; it takes one client at a time`,{details:{sessionId:id,startedAt:startedAt.toISOString()}})}__name(inUse,"inUse");function consoleSessionOf(stored){let{id,instanceUuid,host,port,consoleType,proxy,clientAddress,userId,projectId,access,startedAt,leaseExpires,endedAt,endReason,bytesIn,bytesOut}=stored;return Object.freeze({id,instanceUuid,host,port,consoleType,proxy,clientAddress,userId,projectId,access,startedAt,leaseExpires,endedAt,
endReason,bytesIn,bytesOut})}__name(consoleSessionOf,"consoleSessionOf");function sessionOfRow(row){return Object.freeze({...row,connectionId:row.connectionId===null?null:Number(row.connectionId),consoleType:row.consoleType,access:row.access,bytesIn:Number(row.bytesIn),bytesOut:Number(row.bytesOut)})}__name(sessionOfRow,"sessionOfRow");var HASH=/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/,ConsoleTokensStore=class{static{__name(this,"ConsoleTokensStore")}#client;constructor(client){this.#client=client}async save(token){if(!HASH.test(token.tokenHash))throw new ServiceError("INVALID_ARGUMENT","a token is stored as the hex of its SHA-256 or SHA-1, nothing else");await this.#client.consoleTokenRow.create({data:token,select:{tokenHash:!0}})}async findByHash(tokenHash){let row=await this.#client.consoleTokenRow.findUnique({where:{tokenHash},include:{
connection:!0}});return row&&tokenOfRow(row)}async lockByHash(tokenHash){return(await this.#client.$queryRaw`SELECT 1 AS locked FROM console_tokens WHERE token_hash = ${tokenHash} FOR UPDATE`).length===0?null:this.findByHash(tokenHash)}async markUsed(tokenHash,at){let{count}=await this.#client.consoleTokenRow.updateMany({where:{tokenHash,usedAt:null},data:{usedAt:at}});return count===1}async deleteByHash(tokenHash){return(await this.#client.consoleTokenRow.deleteMany({where:{tokenHash}})).count}async deleteForInstance(instanceUuid){
return(await this.#client.consoleTokenRow.deleteMany({where:{instanceUuid}})).count}async deleteForConnection(connectionId){return(await this.#client.consoleTokenRow.deleteMany({where:{connectionId}})).count}async deleteExpired(now,limit,host=null){return this.#client.$executeRaw`
      DELETE FROM console_tokens WHERE token_hash IN (
        SELECT token_hash FROM console_tokens
        WHERE expires <= ${now}::timestamp(3) AND (${host}::text IS NULL OR host = ${host}::text)
        ORDER BY expires LIMIT ${limit}::integer FOR UPDATE SKIP LOCKED)`}};function tokenOfRow(row){return Object.freeze({...row,connectionId:row.connectionId===null?null:Number(row.connectionId),consoleType:row.consoleType,access:row.access,connection:row.connection&&connectionOfRow(row.connection)})}__name(tokenOfRow,"tokenOfRow");import"node:process";import*as path from"node:path";import{fileURLToPath}from"node:url";import"@prisma/client/runtime/client";import*as runtime from"@prisma/client/runtime/client";var config={previewFeatures:["partialIndexes"],clientVersion:"7.10.0",engineVersion:"0edf323efd1d98336f3f0a68684b56f689b900d3",activeProvider:"postgresql",inlineSchema:`// A cell's database: its instances, what their metadata needs, and every console table.
// Writers: api: instances (create, delete), instance_extra. compute-agent: the state of its own instances.
// consoleauth: console_connections, console_tokens, console_sessions, services.
// Columns are UTC timestamps without zone; the applications' clock fills them. No column ever holds a clear token.

generator client {
  provider               = "prisma-client"
  output                 = "../../libs/cell-db/src/generated"
  runtime                = "nodejs"
  moduleFormat           = "esm"
  generatedFileExtension = "ts"
  importFileExtension    = "ts"
  previewFeatures        = ["partialIndexes"]
}

datasource db {
  provider = "postgresql"
}

model InstanceRow {
  uuid             String    @id @db.Uuid
  /// A small number beside the uuid: EC2's instance ids are made of it.
  id               Int       @unique @default(autoincrement())
  projectId        String    @map("project_id") @db.VarChar(255)
  userId           String    @map("user_id") @db.VarChar(255)
  displayName      String?   @map("display_name") @db.VarChar(255)
  hostname         String?   @db.VarChar(255)
  /// The compute host; NULL until one is chosen.
  host             String?   @db.VarChar(255)
  node             String?   @db.VarChar(255)
  availabilityZone String?   @map("availability_zone") @db.VarChar(255)
  /// building, active, stopped, error, deleted
  vmState          String?   @map("vm_state") @db.VarChar(255)
  taskState        String?   @map("task_state") @db.VarChar(255)
  keyName          String?   @map("key_name") @db.VarChar(255)
  keyData          String?   @map("key_data")
  /// base64, as it came
  userData         String?   @map("user_data")
  metadata         Json      @default("{}")
  systemMetadata   Json      @default("{}") @map("system_metadata")
  /// What the guest's network_data.json says; NULL: nothing known.
  network          Json?
  imageRef         String?   @map("image_ref") @db.VarChar(255)
  flavor           Json?
  launchIndex      Int       @default(0) @map("launch_index")
  reservationId    String?   @map("reservation_id") @db.VarChar(255)
  configDrive      Boolean   @default(false) @map("config_drive")
  /// Grows by one at every change, so that a cache can tell what it holds.
  generation       Int       @default(0)
  createdAt        DateTime  @map("created_at")
  updatedAt        DateTime? @map("updated_at")
  launchedAt       DateTime? @map("launched_at")
  terminatedAt     DateTime? @map("terminated_at")
  deletedAt        DateTime? @map("deleted_at")

  extra       InstanceExtraRow?
  connections ConsoleConnectionRow[]

  @@index([projectId, createdAt], where: raw("deleted_at IS NULL"))
  @@index([host], where: raw("deleted_at IS NULL"))
  @@map("instances")
}

model InstanceExtraRow {
  instanceUuid String    @id @map("instance_uuid") @db.Uuid
  /// A serialized KeyPairList. NULL: not migrated. An empty list: none.
  keypairs     String?
  createdAt    DateTime  @map("created_at")
  updatedAt    DateTime? @map("updated_at")

  instance InstanceRow @relation(fields: [instanceUuid], references: [uuid], onDelete: Cascade)

  @@map("instance_extra")
}

/// The legacy table that the API database's key_pairs replaces; rows leave it by migration, none arrive.
model LegacyKeyPairRow {
  id          Int       @id @default(autoincrement())
  userId      String?   @map("user_id") @db.VarChar(255)
  name        String    @db.VarChar(255)
  fingerprint String?   @db.VarChar(255)
  publicKey   String?   @map("public_key")
  type        String    @default("ssh") @db.VarChar(16)
  createdAt   DateTime? @map("created_at")
  updatedAt   DateTime? @map("updated_at")
  deletedAt   DateTime? @map("deleted_at")
  /// 0, or the row's own id once it is deleted
  deleted     Int       @default(0)

  @@unique([userId, name, deleted])
  @@map("key_pairs")
}

/// A console that an instance has on its host: one row a port, whoever asks for it.
model ConsoleConnectionRow {
  id            BigInt    @id @default(autoincrement())
  instanceUuid  String    @map("instance_uuid") @db.Uuid
  /// The compute host.
  host          String    @db.VarChar(255)
  /// Where a proxy dials it by TCP; NULL when it is reached through the host's agent.
  address       String?   @db.VarChar(255)
  /// TCP port or device ordinal
  port          Int
  consoleType   String    @map("console_type") @db.VarChar(32)
  options       Json      @default("{}")
  /// One writer at a time (serial ports).
  exclusive     Boolean
  reservedBy    String?   @map("reserved_by") @db.VarChar(255)
  reservedUntil DateTime? @map("reserved_until")
  createdAt     DateTime  @map("created_at")

  instance InstanceRow       @relation(fields: [instanceUuid], references: [uuid], onDelete: Cascade)
  tokens   ConsoleTokenRow[]

  @@unique([instanceUuid, host, consoleType, port])
  @@unique([address, port], where: raw("address IS NOT NULL"), map: "console_connections_one_tcp_port")
  @@index([host])
  @@map("console_connections")
}

model ConsoleTokenRow {
  /// Hex of the token's SHA-256 (or SHA-1 where so configured).
  tokenHash          String    @id @map("token_hash") @db.VarChar(64)
  /// NULL for callers of RPC 2.1, who name no connection.
  connectionId       BigInt?   @map("connection_id")
  instanceUuid       String    @map("instance_uuid") @db.Uuid
  consoleType        String    @map("console_type") @db.VarChar(32)
  host               String    @db.VarChar(255)
  port               Int
  internalAccessPath String?   @map("internal_access_path") @db.VarChar(1024)
  /// Where the console is opened, without its token; a caller of RPC 2.1 gives the whole URL, kept with {token} for the token.
  accessUrlBase      String?   @map("access_url_base")
  /// full, view
  access             String    @default("full") @db.VarChar(8)
  singleUse          Boolean   @default(false) @map("single_use")
  usedAt             DateTime? @map("used_at")
  expires            DateTime
  userId             String?   @map("user_id") @db.VarChar(255)
  projectId          String?   @map("project_id") @db.VarChar(255)
  createdAt          DateTime  @map("created_at")

  connection ConsoleConnectionRow? @relation(fields: [connectionId], references: [id], onDelete: Cascade)

  @@index([instanceUuid])
  @@index([expires])
  @@index([connectionId])
  @@map("console_tokens")
}

model ConsoleSessionRow {
  id               String    @id @db.Uuid
  /// Without a foreign key: the session is remembered when its connection is gone.
  connectionId     BigInt?   @map("connection_id")
  exclusive        Boolean
  instanceUuid     String    @map("instance_uuid") @db.Uuid
  host             String    @db.VarChar(255)
  port             Int
  consoleType      String    @map("console_type") @db.VarChar(32)
  proxy            String    @db.VarChar(255)
  clientAddress    String    @map("client_address") @db.VarChar(255)
  userId           String?   @map("user_id") @db.VarChar(255)
  projectId        String?   @map("project_id") @db.VarChar(255)
  /// full, view
  access           String    @db.VarChar(8)
  /// NULL once the agent has seen the secret.
  attachSecretHash String?   @map("attach_secret_hash") @db.VarChar(64)
  resumeHash       String?   @map("resume_hash") @db.VarChar(64)
  startedAt        DateTime  @map("started_at")
  leaseExpires     DateTime  @map("lease_expires")
  /// Somebody asked for its end, for this reason; it ends when its proxy says so or its lease runs out.
  endingAt         DateTime? @map("ending_at")
  endingReason     String?   @map("ending_reason") @db.VarChar(255)
  endedAt          DateTime? @map("ended_at")
  endReason        String?   @map("end_reason") @db.VarChar(255)
  bytesIn          BigInt    @default(0) @map("bytes_in")
  bytesOut         BigInt    @default(0) @map("bytes_out")

  @@unique([connectionId], where: raw("exclusive AND ended_at IS NULL"), map: "console_sessions_one_exclusive")
  /// Consoles of instances that are not known here have no connection, but an address all the same.
  @@unique([host, port], where: raw("exclusive AND ended_at IS NULL AND connection_id IS NULL"), map: "console_sessions_one_exclusive_address")
  @@index([instanceUuid, startedAt])
  @@index([leaseExpires], where: raw("ended_at IS NULL"), map: "console_sessions_open_lease")
  @@index([proxy], where: raw("ended_at IS NULL"), map: "console_sessions_open_proxy")
  @@index([projectId, startedAt])
  @@map("console_sessions")
}

/// Who is alive, as each agent and proxy last reported.
model ServiceRow {
  binary     String   @db.VarChar(255)
  host       String   @db.VarChar(255)
  topic      String   @db.VarChar(255)
  version    String   @db.VarChar(32)
  /// host:port of the agent's stream, when it has one
  endpoint   String?  @db.VarChar(255)
  lastSeenAt DateTime @map("last_seen_at")

  @@id([binary, host])
  @@index([topic, lastSeenAt])
  @@map("services")
}
`,runtimeDataModel:{models:{},enums:{},types:{}},parameterizationSchema:{strings:[],graph:""}};config.runtimeDataModel=JSON.parse('{"models":{"InstanceRow":{"fields":[{"name":"uuid","kind":"scalar","type":"String"},{"name":"id","kind":"scalar","type":"Int"},{"name":"projectId","kind":"scalar","type":"String","dbName":"project_id"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"displayName","kind":"scalar","type":"String","dbName":"display_name"},{"name":"hostname",\
"kind":"scalar","type":"String"},{"name":"host","kind":"scalar","type":"String"},{"name":"node","kind":"scalar","type":"String"},{"name":"availabilityZone","kind":"scalar","type":"String","dbName":"availability_zone"},{"name":"vmState","kind":"scalar","type":"String","dbName":"vm_state"},{"name":"taskState","kind":"scalar","type":"String","dbName":"task_state"},{"name":"keyName","kind":"scalar","type":"String","dbName":"key_name"},{"name":"keyData","kind":"scalar","type":"String","dbName":"key_d\
ata"},{"name":"userData","kind":"scalar","type":"String","dbName":"user_data"},{"name":"metadata","kind":"scalar","type":"Json"},{"name":"systemMetadata","kind":"scalar","type":"Json","dbName":"system_metadata"},{"name":"network","kind":"scalar","type":"Json"},{"name":"imageRef","kind":"scalar","type":"String","dbName":"image_ref"},{"name":"flavor","kind":"scalar","type":"Json"},{"name":"launchIndex","kind":"scalar","type":"Int","dbName":"launch_index"},{"name":"reservationId","kind":"scalar","t\
ype":"String","dbName":"reservation_id"},{"name":"configDrive","kind":"scalar","type":"Boolean","dbName":"config_drive"},{"name":"generation","kind":"scalar","type":"Int"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"updatedAt","kind":"scalar","type":"DateTime","dbName":"updated_at"},{"name":"launchedAt","kind":"scalar","type":"DateTime","dbName":"launched_at"},{"name":"terminatedAt","kind":"scalar","type":"DateTime","dbName":"terminated_at"},{"name":"del\
etedAt","kind":"scalar","type":"DateTime","dbName":"deleted_at"},{"name":"extra","kind":"object","type":"InstanceExtraRow","relationName":"InstanceExtraRowToInstanceRow"},{"name":"connections","kind":"object","type":"ConsoleConnectionRow","relationName":"ConsoleConnectionRowToInstanceRow"}],"dbName":"instances","schema":null},"InstanceExtraRow":{"fields":[{"name":"instanceUuid","kind":"scalar","type":"String","dbName":"instance_uuid"},{"name":"keypairs","kind":"scalar","type":"String"},{"name":"\
createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"updatedAt","kind":"scalar","type":"DateTime","dbName":"updated_at"},{"name":"instance","kind":"object","type":"InstanceRow","relationName":"InstanceExtraRowToInstanceRow"}],"dbName":"instance_extra","schema":null},"LegacyKeyPairRow":{"fields":[{"name":"id","kind":"scalar","type":"Int"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"name","kind":"scalar","type":"String"},{"name":"fingerprin\
t","kind":"scalar","type":"String"},{"name":"publicKey","kind":"scalar","type":"String","dbName":"public_key"},{"name":"type","kind":"scalar","type":"String"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"updatedAt","kind":"scalar","type":"DateTime","dbName":"updated_at"},{"name":"deletedAt","kind":"scalar","type":"DateTime","dbName":"deleted_at"},{"name":"deleted","kind":"scalar","type":"Int"}],"dbName":"key_pairs","schema":null},"ConsoleConnectionRow":{"\
fields":[{"name":"id","kind":"scalar","type":"BigInt"},{"name":"instanceUuid","kind":"scalar","type":"String","dbName":"instance_uuid"},{"name":"host","kind":"scalar","type":"String"},{"name":"address","kind":"scalar","type":"String"},{"name":"port","kind":"scalar","type":"Int"},{"name":"consoleType","kind":"scalar","type":"String","dbName":"console_type"},{"name":"options","kind":"scalar","type":"Json"},{"name":"exclusive","kind":"scalar","type":"Boolean"},{"name":"reservedBy","kind":"scalar","\
type":"String","dbName":"reserved_by"},{"name":"reservedUntil","kind":"scalar","type":"DateTime","dbName":"reserved_until"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"instance","kind":"object","type":"InstanceRow","relationName":"ConsoleConnectionRowToInstanceRow"},{"name":"tokens","kind":"object","type":"ConsoleTokenRow","relationName":"ConsoleConnectionRowToConsoleTokenRow"}],"dbName":"console_connections","schema":null},"ConsoleTokenRow":{"fields":[{\
"name":"tokenHash","kind":"scalar","type":"String","dbName":"token_hash"},{"name":"connectionId","kind":"scalar","type":"BigInt","dbName":"connection_id"},{"name":"instanceUuid","kind":"scalar","type":"String","dbName":"instance_uuid"},{"name":"consoleType","kind":"scalar","type":"String","dbName":"console_type"},{"name":"host","kind":"scalar","type":"String"},{"name":"port","kind":"scalar","type":"Int"},{"name":"internalAccessPath","kind":"scalar","type":"String","dbName":"internal_access_path"\
},{"name":"accessUrlBase","kind":"scalar","type":"String","dbName":"access_url_base"},{"name":"access","kind":"scalar","type":"String"},{"name":"singleUse","kind":"scalar","type":"Boolean","dbName":"single_use"},{"name":"usedAt","kind":"scalar","type":"DateTime","dbName":"used_at"},{"name":"expires","kind":"scalar","type":"DateTime"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"projectId","kind":"scalar","type":"String","dbName":"project_id"},{"name":"createdAt",\
"kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"connection","kind":"object","type":"ConsoleConnectionRow","relationName":"ConsoleConnectionRowToConsoleTokenRow"}],"dbName":"console_tokens","schema":null},"ConsoleSessionRow":{"fields":[{"name":"id","kind":"scalar","type":"String"},{"name":"connectionId","kind":"scalar","type":"BigInt","dbName":"connection_id"},{"name":"exclusive","kind":"scalar","type":"Boolean"},{"name":"instanceUuid","kind":"scalar","type":"String","dbName":"i\
nstance_uuid"},{"name":"host","kind":"scalar","type":"String"},{"name":"port","kind":"scalar","type":"Int"},{"name":"consoleType","kind":"scalar","type":"String","dbName":"console_type"},{"name":"proxy","kind":"scalar","type":"String"},{"name":"clientAddress","kind":"scalar","type":"String","dbName":"client_address"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"projectId","kind":"scalar","type":"String","dbName":"project_id"},{"name":"access","kind":"scalar","typ\
e":"String"},{"name":"attachSecretHash","kind":"scalar","type":"String","dbName":"attach_secret_hash"},{"name":"resumeHash","kind":"scalar","type":"String","dbName":"resume_hash"},{"name":"startedAt","kind":"scalar","type":"DateTime","dbName":"started_at"},{"name":"leaseExpires","kind":"scalar","type":"DateTime","dbName":"lease_expires"},{"name":"endingAt","kind":"scalar","type":"DateTime","dbName":"ending_at"},{"name":"endingReason","kind":"scalar","type":"String","dbName":"ending_reason"},{"na\
me":"endedAt","kind":"scalar","type":"DateTime","dbName":"ended_at"},{"name":"endReason","kind":"scalar","type":"String","dbName":"end_reason"},{"name":"bytesIn","kind":"scalar","type":"BigInt","dbName":"bytes_in"},{"name":"bytesOut","kind":"scalar","type":"BigInt","dbName":"bytes_out"}],"dbName":"console_sessions","schema":null},"ServiceRow":{"fields":[{"name":"binary","kind":"scalar","type":"String"},{"name":"host","kind":"scalar","type":"String"},{"name":"topic","kind":"scalar","type":"String\
"},{"name":"version","kind":"scalar","type":"String"},{"name":"endpoint","kind":"scalar","type":"String"},{"name":"lastSeenAt","kind":"scalar","type":"DateTime","dbName":"last_seen_at"}],"dbName":"services","schema":null}},"enums":{},"types":{}}');config.parameterizationSchema={strings:JSON.parse('["where","instance","extra","orderBy","cursor","connection","tokens","_count","connections","InstanceRow.findUnique","InstanceRow.findUniqueOrThrow","InstanceRow.findFirst","InstanceRow.findFirstOrThro\
w","InstanceRow.findMany","data","InstanceRow.createOne","InstanceRow.createMany","InstanceRow.createManyAndReturn","InstanceRow.updateOne","InstanceRow.updateMany","InstanceRow.updateManyAndReturn","create","update","InstanceRow.upsertOne","InstanceRow.deleteOne","InstanceRow.deleteMany","having","_avg","_sum","_min","_max","InstanceRow.groupBy","InstanceRow.aggregate","InstanceExtraRow.findUnique","InstanceExtraRow.findUniqueOrThrow","InstanceExtraRow.findFirst","InstanceExtraRow.findFirstOrTh\
row","InstanceExtraRow.findMany","InstanceExtraRow.createOne","InstanceExtraRow.createMany","InstanceExtraRow.createManyAndReturn","InstanceExtraRow.updateOne","InstanceExtraRow.updateMany","InstanceExtraRow.updateManyAndReturn","InstanceExtraRow.upsertOne","InstanceExtraRow.deleteOne","InstanceExtraRow.deleteMany","InstanceExtraRow.groupBy","InstanceExtraRow.aggregate","LegacyKeyPairRow.findUnique","LegacyKeyPairRow.findUniqueOrThrow","LegacyKeyPairRow.findFirst","LegacyKeyPairRow.findFirstOrTh\
row","LegacyKeyPairRow.findMany","LegacyKeyPairRow.createOne","LegacyKeyPairRow.createMany","LegacyKeyPairRow.createManyAndReturn","LegacyKeyPairRow.updateOne","LegacyKeyPairRow.updateMany","LegacyKeyPairRow.updateManyAndReturn","LegacyKeyPairRow.upsertOne","LegacyKeyPairRow.deleteOne","LegacyKeyPairRow.deleteMany","LegacyKeyPairRow.groupBy","LegacyKeyPairRow.aggregate","ConsoleConnectionRow.findUnique","ConsoleConnectionRow.findUniqueOrThrow","ConsoleConnectionRow.findFirst","ConsoleConnectionR\
ow.findFirstOrThrow","ConsoleConnectionRow.findMany","ConsoleConnectionRow.createOne","ConsoleConnectionRow.createMany","ConsoleConnectionRow.createManyAndReturn","ConsoleConnectionRow.updateOne","ConsoleConnectionRow.updateMany","ConsoleConnectionRow.updateManyAndReturn","ConsoleConnectionRow.upsertOne","ConsoleConnectionRow.deleteOne","ConsoleConnectionRow.deleteMany","ConsoleConnectionRow.groupBy","ConsoleConnectionRow.aggregate","ConsoleTokenRow.findUnique","ConsoleTokenRow.findUniqueOrThrow\
","ConsoleTokenRow.findFirst","ConsoleTokenRow.findFirstOrThrow","ConsoleTokenRow.findMany","ConsoleTokenRow.createOne","ConsoleTokenRow.createMany","ConsoleTokenRow.createManyAndReturn","ConsoleTokenRow.updateOne","ConsoleTokenRow.updateMany","ConsoleTokenRow.updateManyAndReturn","ConsoleTokenRow.upsertOne","ConsoleTokenRow.deleteOne","ConsoleTokenRow.deleteMany","ConsoleTokenRow.groupBy","ConsoleTokenRow.aggregate","ConsoleSessionRow.findUnique","ConsoleSessionRow.findUniqueOrThrow","ConsoleSe\
ssionRow.findFirst","ConsoleSessionRow.findFirstOrThrow","ConsoleSessionRow.findMany","ConsoleSessionRow.createOne","ConsoleSessionRow.createMany","ConsoleSessionRow.createManyAndReturn","ConsoleSessionRow.updateOne","ConsoleSessionRow.updateMany","ConsoleSessionRow.updateManyAndReturn","ConsoleSessionRow.upsertOne","ConsoleSessionRow.deleteOne","ConsoleSessionRow.deleteMany","ConsoleSessionRow.groupBy","ConsoleSessionRow.aggregate","ServiceRow.findUnique","ServiceRow.findUniqueOrThrow","Service\
Row.findFirst","ServiceRow.findFirstOrThrow","ServiceRow.findMany","ServiceRow.createOne","ServiceRow.createMany","ServiceRow.createManyAndReturn","ServiceRow.updateOne","ServiceRow.updateMany","ServiceRow.updateManyAndReturn","ServiceRow.upsertOne","ServiceRow.deleteOne","ServiceRow.deleteMany","ServiceRow.groupBy","ServiceRow.aggregate","AND","OR","NOT","binary","host","topic","version","endpoint","lastSeenAt","equals","in","notIn","lt","lte","gt","gte","not","contains","startsWith","endsWith"\
,"binary_host","id","connectionId","exclusive","instanceUuid","port","consoleType","proxy","clientAddress","userId","projectId","access","attachSecretHash","resumeHash","startedAt","leaseExpires","endingAt","endingReason","endedAt","endReason","bytesIn","bytesOut","host_port","tokenHash","internalAccessPath","accessUrlBase","singleUse","usedAt","expires","createdAt","address","options","reservedBy","reservedUntil","string_contains","string_starts_with","string_ends_with","array_starts_with","arr\
ay_ends_with","array_contains","name","fingerprint","publicKey","type","updatedAt","deletedAt","deleted","userId_name_deleted","keypairs","uuid","displayName","hostname","node","availabilityZone","vmState","taskState","keyName","keyData","userData","metadata","systemMetadata","network","imageRef","flavor","launchIndex","reservationId","configDrive","generation","launchedAt","terminatedAt","every","some","none","instanceUuid_host_consoleType_port","address_port","is","isNot","connectOrCreate","up\
sert","createMany","set","disconnect","delete","connect","updateMany","deleteMany","increment","decrement","multiply","divide"]'),graph:"4wJFcCECAAD1AQAgCAAA9gEAIIEBAADyAQAwggEAABEAEIMBAADyAQAwhQEBAMYBACGWAQIAAAABngEBAMUBACGfAQEAxQEAIbIBQADHAQAhwQFAAOEBACHCAUAA4QEAIcYBAQAAAAHHAQEAxgEAIcgBAQDGAQAhyQEBAMYBACHKAQEAxgEAIcsBAQDGAQAhzAEBAMYBACHNAQEAxgEAIc4BAQDGAQAhzwEBAMYBACHQAQAA8wEAINEBAADzAQAg0gEAAPQBACDTAQEAxgEAIdQBAAD0AQAg1QECAOABACHWAQEAxgEAIdcBIADfAQAh2AECAOABACHZAUAA4QEAIdoBQADhAQAhAQAAAAEAIAg\
BAADuAQAggQEAAO0BADCCAQAAAwAQgwEAAO0BADCZAQEA3QEAIbIBQADHAQAhwQFAAOEBACHFAQEAxgEAIQEAAAADACAQAQAA7gEAIAYAAPwBACCBAQAA-wEAMIIBAAAFABCDAQAA-wEAMIUBAQDFAQAhlgEEAOIBACGYASAA3wEAIZkBAQDdAQAhmgECAOABACGbAQEAxQEAIbIBQADHAQAhswEBAMYBACG0AQAA8wEAILUBAQDGAQAhtgFAAOEBACEFAQAAtAIAIAYAANICACCzAQAA_QEAILUBAAD9AQAgtgEAAP0BACASAQAA7gEAIAYAAPwBACCBAQAA-wEAMIIBAAAFABCDAQAA-wEAMIUBAQDFAQAhlgEEAAAAAZgBIADfAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhsgFAAMcBACGzAQEAxgEAIbQBAADzAQAgtQEBAMYBACG2AUAA4QEAId4BAAD5AQAg3wEAAPoBACA\
DAAAABQAgAwAABgAwBAAABwAgEwUAAPgBACCBAQAA9wEAMIIBAAAJABCDAQAA9wEAMIUBAQDFAQAhlwEEAN4BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGeAQEAxgEAIZ8BAQDGAQAhoAEBAMUBACGsAQEAxQEAIa0BAQDGAQAhrgEBAMYBACGvASAA3wEAIbABQADhAQAhsQFAAMcBACGyAUAAxwEAIQcFAADRAgAglwEAAP0BACCeAQAA_QEAIJ8BAAD9AQAgrQEAAP0BACCuAQAA_QEAILABAAD9AQAgEwUAAPgBACCBAQAA9wEAMIIBAAAJABCDAQAA9wEAMIUBAQDFAQAhlwEEAN4BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGeAQEAxgEAIZ8BAQDGAQAhoAEBAMUBACGsAQEAAAABrQEBAMYBACGuAQEAxgEAIa8BIADfAQAhsAFAAOEBACGxAUAAxwEAIbIBQADHAQA\
hAwAAAAkAIAMAAAoAMAQAAAsAIAEAAAAFACABAAAACQAgAQAAAAUAIAEAAAABACAhAgAA9QEAIAgAAPYBACCBAQAA8gEAMIIBAAARABCDAQAA8gEAMIUBAQDGAQAhlgECAOABACGeAQEAxQEAIZ8BAQDFAQAhsgFAAMcBACHBAUAA4QEAIcIBQADhAQAhxgEBAN0BACHHAQEAxgEAIcgBAQDGAQAhyQEBAMYBACHKAQEAxgEAIcsBAQDGAQAhzAEBAMYBACHNAQEAxgEAIc4BAQDGAQAhzwEBAMYBACHQAQAA8wEAINEBAADzAQAg0gEAAPQBACDTAQEAxgEAIdQBAAD0AQAg1QECAOABACHWAQEAxgEAIdcBIADfAQAh2AECAOABACHZAUAA4QEAIdoBQADhAQAhFAIAAM8CACAIAADQAgAghQEAAP0BACDBAQAA_QEAIMIBAAD9AQAgxwEAAP0BACDIAQAA_QEAIMkBAAD9AQAgygE\
AAP0BACDLAQAA_QEAIMwBAAD9AQAgzQEAAP0BACDOAQAA_QEAIM8BAAD9AQAg0gEAAP0BACDTAQAA_QEAINQBAAD9AQAg1gEAAP0BACDZAQAA_QEAINoBAAD9AQAgAwAAABEAIAMAABIAMAQAAAEAIAMAAAARACADAAASADAEAAABACADAAAAEQAgAwAAEgAwBAAAAQAgHgIAAM0CACAIAADOAgAghQEBAAAAAZYBAgAAAAGeAQEAAAABnwEBAAAAAbIBQAAAAAHBAUAAAAABwgFAAAAAAcYBAQAAAAHHAQEAAAAByAEBAAAAAckBAQAAAAHKAQEAAAABywEBAAAAAcwBAQAAAAHNAQEAAAABzgEBAAAAAc8BAQAAAAHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAAAAB1AGAAAAAAdUBAgAAAAHWAQEAAAAB1wEgAAAAAdgBAgAAAAHZAUAAAAAB2gFAAAAAAQEOAAAWACAchQEBAAA\
AAZYBAgAAAAGeAQEAAAABnwEBAAAAAbIBQAAAAAHBAUAAAAABwgFAAAAAAcYBAQAAAAHHAQEAAAAByAEBAAAAAckBAQAAAAHKAQEAAAABywEBAAAAAcwBAQAAAAHNAQEAAAABzgEBAAAAAc8BAQAAAAHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAAAAB1AGAAAAAAdUBAgAAAAHWAQEAAAAB1wEgAAAAAdgBAgAAAAHZAUAAAAAB2gFAAAAAAQEOAAAYADABDgAAGAAwHgIAALoCACAIAAC7AgAghQEBAIICACGWAQIAiwIAIZ4BAQCBAgAhnwEBAIECACGyAUAAgwIAIcEBQACMAgAhwgFAAIwCACHGAQEAgQIAIccBAQCCAgAhyAEBAIICACHJAQEAggIAIcoBAQCCAgAhywEBAIICACHMAQEAggIAIc0BAQCCAgAhzgEBAIICACHPAQEAggIAIdABgAAAAAHRAYAAAAAB0gGAAAA\
AAdMBAQCCAgAh1AGAAAAAAdUBAgCLAgAh1gEBAIICACHXASAAigIAIdgBAgCLAgAh2QFAAIwCACHaAUAAjAIAIQIAAAABACAOAAAbACAchQEBAIICACGWAQIAiwIAIZ4BAQCBAgAhnwEBAIECACGyAUAAgwIAIcEBQACMAgAhwgFAAIwCACHGAQEAgQIAIccBAQCCAgAhyAEBAIICACHJAQEAggIAIcoBAQCCAgAhywEBAIICACHMAQEAggIAIc0BAQCCAgAhzgEBAIICACHPAQEAggIAIdABgAAAAAHRAYAAAAAB0gGAAAAAAdMBAQCCAgAh1AGAAAAAAdUBAgCLAgAh1gEBAIICACHXASAAigIAIdgBAgCLAgAh2QFAAIwCACHaAUAAjAIAIQIAAAARACAOAAAdACACAAAAEQAgDgAAHQAgAwAAAAEAIBUAABYAIBYAABsAIAEAAAABACABAAAAEQAgFwcAALUCACAbAAC2AgAgHAA\
AuQIAIB0AALgCACAeAAC3AgAghQEAAP0BACDBAQAA_QEAIMIBAAD9AQAgxwEAAP0BACDIAQAA_QEAIMkBAAD9AQAgygEAAP0BACDLAQAA_QEAIMwBAAD9AQAgzQEAAP0BACDOAQAA_QEAIM8BAAD9AQAg0gEAAP0BACDTAQAA_QEAINQBAAD9AQAg1gEAAP0BACDZAQAA_QEAINoBAAD9AQAgH4EBAADvAQAwggEAACQAEIMBAADvAQAwhQEBALoBACGWAQIAzQEAIZ4BAQC5AQAhnwEBALkBACGyAUAAuwEAIcEBQADOAQAhwgFAAM4BACHGAQEAygEAIccBAQC6AQAhyAEBALoBACHJAQEAugEAIcoBAQC6AQAhywEBALoBACHMAQEAugEAIc0BAQC6AQAhzgEBALoBACHPAQEAugEAIdABAADnAQAg0QEAAOcBACDSAQAA8AEAINMBAQC6AQAh1AEAAPABACDVAQIAzQEAIdYBAQC\
6AQAh1wEgAMwBACHYAQIAzQEAIdkBQADOAQAh2gFAAM4BACEDAAAAEQAgAwAAIwAwGgAAJAAgAwAAABEAIAMAABIAMAQAAAEAIAgBAADuAQAggQEAAO0BADCCAQAAAwAQgwEAAO0BADCZAQEAAAABsgFAAMcBACHBAUAA4QEAIcUBAQDGAQAhAQAAACcAIAEAAAAnACADAQAAtAIAIMEBAAD9AQAgxQEAAP0BACADAAAAAwAgAwAAKgAwBAAAJwAgAwAAAAMAIAMAACoAMAQAACcAIAMAAAADACADAAAqADAEAAAnACAFAQAAswIAIJkBAQAAAAGyAUAAAAABwQFAAAAAAcUBAQAAAAEBDgAALgAgBJkBAQAAAAGyAUAAAAABwQFAAAAAAcUBAQAAAAEBDgAAMAAwAQ4AADAAMAUBAACyAgAgmQEBAIECACGyAUAAgwIAIcEBQACMAgAhxQEBAIICACECAAAAJwAgDgAAMwAgBJkBAQC\
BAgAhsgFAAIMCACHBAUAAjAIAIcUBAQCCAgAhAgAAAAMAIA4AADUAIAIAAAADACAOAAA1ACADAAAAJwAgFQAALgAgFgAAMwAgAQAAACcAIAEAAAADACAFBwAArwIAIB0AALECACAeAACwAgAgwQEAAP0BACDFAQAA_QEAIAeBAQAA7AEAMIIBAAA8ABCDAQAA7AEAMJkBAQDKAQAhsgFAALsBACHBAUAAzgEAIcUBAQC6AQAhAwAAAAMAIAMAADsAMBoAADwAIAMAAAADACADAAAqADAEAAAnACAOgQEAAOoBADCCAQAAQgAQgwEAAOoBADCWAQIAAAABngEBAMYBACGyAUAA4QEAIb0BAQDFAQAhvgEBAMYBACG_AQEAxgEAIcABAQDFAQAhwQFAAOEBACHCAUAA4QEAIcMBAgDgAQAhxAEAAOsBACABAAAAPwAgAQAAAD8AIA2BAQAA6gEAMIIBAABCABCDAQAA6gEAMJYBAgDgAQA\
hngEBAMYBACGyAUAA4QEAIb0BAQDFAQAhvgEBAMYBACG_AQEAxgEAIcABAQDFAQAhwQFAAOEBACHCAUAA4QEAIcMBAgDgAQAhBp4BAAD9AQAgsgEAAP0BACC-AQAA_QEAIL8BAAD9AQAgwQEAAP0BACDCAQAA_QEAIAMAAABCACADAABDADAEAAA_ACADAAAAQgAgAwAAQwAwBAAAPwAgAwAAAEIAIAMAAEMAMAQAAD8AIAqWAQIAAAABngEBAAAAAbIBQAAAAAG9AQEAAAABvgEBAAAAAb8BAQAAAAHAAQEAAAABwQFAAAAAAcIBQAAAAAHDAQIAAAABAQ4AAEcAIAqWAQIAAAABngEBAAAAAbIBQAAAAAG9AQEAAAABvgEBAAAAAb8BAQAAAAHAAQEAAAABwQFAAAAAAcIBQAAAAAHDAQIAAAABAQ4AAEkAMAEOAABJADAKlgECAIsCACGeAQEAggIAIbIBQACMAgAhvQEBAIECACG\
-AQEAggIAIb8BAQCCAgAhwAEBAIECACHBAUAAjAIAIcIBQACMAgAhwwECAIsCACECAAAAPwAgDgAATAAgCpYBAgCLAgAhngEBAIICACGyAUAAjAIAIb0BAQCBAgAhvgEBAIICACG_AQEAggIAIcABAQCBAgAhwQFAAIwCACHCAUAAjAIAIcMBAgCLAgAhAgAAAEIAIA4AAE4AIAIAAABCACAOAABOACADAAAAPwAgFQAARwAgFgAATAAgAQAAAD8AIAEAAABCACALBwAAqgIAIBsAAKsCACAcAACuAgAgHQAArQIAIB4AAKwCACCeAQAA_QEAILIBAAD9AQAgvgEAAP0BACC_AQAA_QEAIMEBAAD9AQAgwgEAAP0BACANgQEAAOkBADCCAQAAVQAQgwEAAOkBADCWAQIAzQEAIZ4BAQC6AQAhsgFAAM4BACG9AQEAuQEAIb4BAQC6AQAhvwEBALoBACHAAQEAuQEAIcEBQADOAQAhwgF\
AAM4BACHDAQIAzQEAIQMAAABCACADAABUADAaAABVACADAAAAQgAgAwAAQwAwBAAAPwAgAQAAAAcAIAEAAAAHACADAAAABQAgAwAABgAwBAAABwAgAwAAAAUAIAMAAAYAMAQAAAcAIAMAAAAFACADAAAGADAEAAAHACANAQAAqAIAIAYAAKkCACCFAQEAAAABlgEEAAAAAZgBIAAAAAGZAQEAAAABmgECAAAAAZsBAQAAAAGyAUAAAAABswEBAAAAAbQBgAAAAAG1AQEAAAABtgFAAAAAAQEOAABdACALhQEBAAAAAZYBBAAAAAGYASAAAAABmQEBAAAAAZoBAgAAAAGbAQEAAAABsgFAAAAAAbMBAQAAAAG0AYAAAAABtQEBAAAAAbYBQAAAAAEBDgAAXwAwAQ4AAF8AMA0BAACaAgAgBgAAmwIAIIUBAQCBAgAhlgEEAI0CACGYASAAigIAIZkBAQCBAgAhmgECAIsCACGbAQEAgQI\
AIbIBQACDAgAhswEBAIICACG0AYAAAAABtQEBAIICACG2AUAAjAIAIQIAAAAHACAOAABiACALhQEBAIECACGWAQQAjQIAIZgBIACKAgAhmQEBAIECACGaAQIAiwIAIZsBAQCBAgAhsgFAAIMCACGzAQEAggIAIbQBgAAAAAG1AQEAggIAIbYBQACMAgAhAgAAAAUAIA4AAGQAIAIAAAAFACAOAABkACADAAAABwAgFQAAXQAgFgAAYgAgAQAAAAcAIAEAAAAFACAIBwAAlQIAIBsAAJYCACAcAACZAgAgHQAAmAIAIB4AAJcCACCzAQAA_QEAILUBAAD9AQAgtgEAAP0BACAOgQEAAOYBADCCAQAAawAQgwEAAOYBADCFAQEAuQEAIZYBBADPAQAhmAEgAMwBACGZAQEAygEAIZoBAgDNAQAhmwEBALkBACGyAUAAuwEAIbMBAQC6AQAhtAEAAOcBACC1AQEAugEAIbYBQADOAQAhAwA\
AAAUAIAMAAGoAMBoAAGsAIAMAAAAFACADAAAGADAEAAAHACABAAAACwAgAQAAAAsAIAMAAAAJACADAAAKADAEAAALACADAAAACQAgAwAACgAwBAAACwAgAwAAAAkAIAMAAAoAMAQAAAsAIBAFAACUAgAghQEBAAAAAZcBBAAAAAGZAQEAAAABmgECAAAAAZsBAQAAAAGeAQEAAAABnwEBAAAAAaABAQAAAAGsAQEAAAABrQEBAAAAAa4BAQAAAAGvASAAAAABsAFAAAAAAbEBQAAAAAGyAUAAAAABAQ4AAHMAIA-FAQEAAAABlwEEAAAAAZkBAQAAAAGaAQIAAAABmwEBAAAAAZ4BAQAAAAGfAQEAAAABoAEBAAAAAawBAQAAAAGtAQEAAAABrgEBAAAAAa8BIAAAAAGwAUAAAAABsQFAAAAAAbIBQAAAAAEBDgAAdQAwAQ4AAHUAMAEAAAAFACAQBQAAkwIAIIUBAQCBAgAhlwEEAIk\
CACGZAQEAgQIAIZoBAgCLAgAhmwEBAIECACGeAQEAggIAIZ8BAQCCAgAhoAEBAIECACGsAQEAgQIAIa0BAQCCAgAhrgEBAIICACGvASAAigIAIbABQACMAgAhsQFAAIMCACGyAUAAgwIAIQIAAAALACAOAAB5ACAPhQEBAIECACGXAQQAiQIAIZkBAQCBAgAhmgECAIsCACGbAQEAgQIAIZ4BAQCCAgAhnwEBAIICACGgAQEAgQIAIawBAQCBAgAhrQEBAIICACGuAQEAggIAIa8BIACKAgAhsAFAAIwCACGxAUAAgwIAIbIBQACDAgAhAgAAAAkAIA4AAHsAIAIAAAAJACAOAAB7ACABAAAABQAgAwAAAAsAIBUAAHMAIBYAAHkAIAEAAAALACABAAAACQAgCwcAAI4CACAbAACPAgAgHAAAkgIAIB0AAJECACAeAACQAgAglwEAAP0BACCeAQAA_QEAIJ8BAAD9AQAgrQEAAP0BACC\
uAQAA_QEAILABAAD9AQAgEoEBAADlAQAwggEAAIMBABCDAQAA5QEAMIUBAQC5AQAhlwEEAMsBACGZAQEAygEAIZoBAgDNAQAhmwEBALkBACGeAQEAugEAIZ8BAQC6AQAhoAEBALkBACGsAQEAuQEAIa0BAQC6AQAhrgEBALoBACGvASAAzAEAIbABQADOAQAhsQFAALsBACGyAUAAuwEAIQMAAAAJACADAACCAQAwGgAAgwEAIAMAAAAJACADAAAKADAEAAALACAagQEAANwBADCCAQAAiQEAEIMBAADcAQAwhQEBAMUBACGWAQEAAAABlwEEAAAAAZgBIADfAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhnAEBAMUBACGdAQEAxQEAIZ4BAQDGAQAhnwEBAMYBACGgAQEAxQEAIaEBAQDGAQAhogEBAMYBACGjAUAAxwEAIaQBQADHAQAhpQFAAOEBACGmAQEAxgEAIacBQADhAQA\
hqAEBAMYBACGpAQQA4gEAIaoBBADiAQAhqwEAAOQBACABAAAAhgEAIAEAAACGAQAgGYEBAADcAQAwggEAAIkBABCDAQAA3AEAMIUBAQDFAQAhlgEBAN0BACGXAQQA3gEAIZgBIADfAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhnAEBAMUBACGdAQEAxQEAIZ4BAQDGAQAhnwEBAMYBACGgAQEAxQEAIaEBAQDGAQAhogEBAMYBACGjAUAAxwEAIaQBQADHAQAhpQFAAOEBACGmAQEAxgEAIacBQADhAQAhqAEBAMYBACGpAQQA4gEAIaoBBADiAQAhCZcBAAD9AQAgngEAAP0BACCfAQAA_QEAIKEBAAD9AQAgogEAAP0BACClAQAA_QEAIKYBAAD9AQAgpwEAAP0BACCoAQAA_QEAIAMAAACJAQAgAwAAigEAMAQAAIYBACADAAAAiQEAIAMAAIoBADAEAACGAQAgAwAAAIkBACA\
DAACKAQAwBAAAhgEAIBaFAQEAAAABlgEBAAAAAZcBBAAAAAGYASAAAAABmQEBAAAAAZoBAgAAAAGbAQEAAAABnAEBAAAAAZ0BAQAAAAGeAQEAAAABnwEBAAAAAaABAQAAAAGhAQEAAAABogEBAAAAAaMBQAAAAAGkAUAAAAABpQFAAAAAAaYBAQAAAAGnAUAAAAABqAEBAAAAAakBBAAAAAGqAQQAAAABAQ4AAI4BACAWhQEBAAAAAZYBAQAAAAGXAQQAAAABmAEgAAAAAZkBAQAAAAGaAQIAAAABmwEBAAAAAZwBAQAAAAGdAQEAAAABngEBAAAAAZ8BAQAAAAGgAQEAAAABoQEBAAAAAaIBAQAAAAGjAUAAAAABpAFAAAAAAaUBQAAAAAGmAQEAAAABpwFAAAAAAagBAQAAAAGpAQQAAAABqgEEAAAAAQEOAACQAQAwAQ4AAJABADAWhQEBAIECACGWAQEAgQIAIZcBBACJAgAhmAE\
gAIoCACGZAQEAgQIAIZoBAgCLAgAhmwEBAIECACGcAQEAgQIAIZ0BAQCBAgAhngEBAIICACGfAQEAggIAIaABAQCBAgAhoQEBAIICACGiAQEAggIAIaMBQACDAgAhpAFAAIMCACGlAUAAjAIAIaYBAQCCAgAhpwFAAIwCACGoAQEAggIAIakBBACNAgAhqgEEAI0CACECAAAAhgEAIA4AAJMBACAWhQEBAIECACGWAQEAgQIAIZcBBACJAgAhmAEgAIoCACGZAQEAgQIAIZoBAgCLAgAhmwEBAIECACGcAQEAgQIAIZ0BAQCBAgAhngEBAIICACGfAQEAggIAIaABAQCBAgAhoQEBAIICACGiAQEAggIAIaMBQACDAgAhpAFAAIMCACGlAUAAjAIAIaYBAQCCAgAhpwFAAIwCACGoAQEAggIAIakBBACNAgAhqgEEAI0CACECAAAAiQEAIA4AAJUBACACAAAAiQEAIA4AAJUBACADAAA\
AhgEAIBUAAI4BACAWAACTAQAgAQAAAIYBACABAAAAiQEAIA4HAACEAgAgGwAAhQIAIBwAAIgCACAdAACHAgAgHgAAhgIAIJcBAAD9AQAgngEAAP0BACCfAQAA_QEAIKEBAAD9AQAgogEAAP0BACClAQAA_QEAIKYBAAD9AQAgpwEAAP0BACCoAQAA_QEAIBmBAQAAyQEAMIIBAACcAQAQgwEAAMkBADCFAQEAuQEAIZYBAQDKAQAhlwEEAMsBACGYASAAzAEAIZkBAQDKAQAhmgECAM0BACGbAQEAuQEAIZwBAQC5AQAhnQEBALkBACGeAQEAugEAIZ8BAQC6AQAhoAEBALkBACGhAQEAugEAIaIBAQC6AQAhowFAALsBACGkAUAAuwEAIaUBQADOAQAhpgEBALoBACGnAUAAzgEAIagBAQC6AQAhqQEEAM8BACGqAQQAzwEAIQMAAACJAQAgAwAAmwEAMBoAAJwBACADAAAAiQEAIAM\
AAIoBADAEAACGAQAgCoEBAADEAQAwggEAAKIBABCDAQAAxAEAMIQBAQDFAQAhhQEBAMUBACGGAQEAxQEAIYcBAQDFAQAhiAEBAMYBACGJAUAAxwEAIZUBAADIAQAgAQAAAJ8BACABAAAAnwEAIAmBAQAAxAEAMIIBAACiAQAQgwEAAMQBADCEAQEAxQEAIYUBAQDFAQAhhgEBAMUBACGHAQEAxQEAIYgBAQDGAQAhiQFAAMcBACEBiAEAAP0BACADAAAAogEAIAMAAKMBADAEAACfAQAgAwAAAKIBACADAACjAQAwBAAAnwEAIAMAAACiAQAgAwAAowEAMAQAAJ8BACAGhAEBAAAAAYUBAQAAAAGGAQEAAAABhwEBAAAAAYgBAQAAAAGJAUAAAAABAQ4AAKcBACAGhAEBAAAAAYUBAQAAAAGGAQEAAAABhwEBAAAAAYgBAQAAAAGJAUAAAAABAQ4AAKkBADABDgAAqQEAMAaEAQEAgQI\
AIYUBAQCBAgAhhgEBAIECACGHAQEAgQIAIYgBAQCCAgAhiQFAAIMCACECAAAAnwEAIA4AAKwBACAGhAEBAIECACGFAQEAgQIAIYYBAQCBAgAhhwEBAIECACGIAQEAggIAIYkBQACDAgAhAgAAAKIBACAOAACuAQAgAgAAAKIBACAOAACuAQAgAwAAAJ8BACAVAACnAQAgFgAArAEAIAEAAACfAQAgAQAAAKIBACAEBwAA_gEAIB0AAIACACAeAAD_AQAgiAEAAP0BACAJgQEAALgBADCCAQAAtQEAEIMBAAC4AQAwhAEBALkBACGFAQEAuQEAIYYBAQC5AQAhhwEBALkBACGIAQEAugEAIYkBQAC7AQAhAwAAAKIBACADAAC0AQAwGgAAtQEAIAMAAACiAQAgAwAAowEAMAQAAJ8BACAJgQEAALgBADCCAQAAtQEAEIMBAAC4AQAwhAEBALkBACGFAQEAuQEAIYYBAQC5AQAhhwEBALk\
BACGIAQEAugEAIYkBQAC7AQAhDgcAAL0BACAdAADDAQAgHgAAwwEAIIoBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEAwgEAIZIBAQAAAAGTAQEAAAABlAEBAAAAAQ4HAADAAQAgHQAAwQEAIB4AAMEBACCKAQEAAAABiwEBAAAABYwBAQAAAAWNAQEAAAABjgEBAAAAAY8BAQAAAAGQAQEAAAABkQEBAL8BACGSAQEAAAABkwEBAAAAAZQBAQAAAAELBwAAvQEAIB0AAL4BACAeAAC-AQAgigFAAAAAAYsBQAAAAASMAUAAAAAEjQFAAAAAAY4BQAAAAAGPAUAAAAABkAFAAAAAAZEBQAC8AQAhCwcAAL0BACAdAAC-AQAgHgAAvgEAIIoBQAAAAAGLAUAAAAAEjAFAAAAABI0BQAAAAAGOAUAAAAABjwFAAAAAAZABQAAAAAGRAUAAvAE\
AIQiKAQIAAAABiwECAAAABIwBAgAAAASNAQIAAAABjgECAAAAAY8BAgAAAAGQAQIAAAABkQECAL0BACEIigFAAAAAAYsBQAAAAASMAUAAAAAEjQFAAAAAAY4BQAAAAAGPAUAAAAABkAFAAAAAAZEBQAC-AQAhDgcAAMABACAdAADBAQAgHgAAwQEAIIoBAQAAAAGLAQEAAAAFjAEBAAAABY0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEAvwEAIZIBAQAAAAGTAQEAAAABlAEBAAAAAQiKAQIAAAABiwECAAAABYwBAgAAAAWNAQIAAAABjgECAAAAAY8BAgAAAAGQAQIAAAABkQECAMABACELigEBAAAAAYsBAQAAAAWMAQEAAAAFjQEBAAAAAY4BAQAAAAGPAQEAAAABkAEBAAAAAZEBAQDBAQAhkgEBAAAAAZMBAQAAAAGUAQEAAAABDgcAAL0BACAdAADDAQAgHgAAwwE\
AIIoBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEAwgEAIZIBAQAAAAGTAQEAAAABlAEBAAAAAQuKAQEAAAABiwEBAAAABIwBAQAAAASNAQEAAAABjgEBAAAAAY8BAQAAAAGQAQEAAAABkQEBAMMBACGSAQEAAAABkwEBAAAAAZQBAQAAAAEJgQEAAMQBADCCAQAAogEAEIMBAADEAQAwhAEBAMUBACGFAQEAxQEAIYYBAQDFAQAhhwEBAMUBACGIAQEAxgEAIYkBQADHAQAhC4oBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEAwwEAIZIBAQAAAAGTAQEAAAABlAEBAAAAAQuKAQEAAAABiwEBAAAABYwBAQAAAAWNAQEAAAABjgEBAAAAAY8BAQAAAAGQAQEAAAABkQEBAMEBACGSAQEAAAA\
BkwEBAAAAAZQBAQAAAAEIigFAAAAAAYsBQAAAAASMAUAAAAAEjQFAAAAAAY4BQAAAAAGPAUAAAAABkAFAAAAAAZEBQAC-AQAhAoQBAQAAAAGFAQEAAAABGYEBAADJAQAwggEAAJwBABCDAQAAyQEAMIUBAQC5AQAhlgEBAMoBACGXAQQAywEAIZgBIADMAQAhmQEBAMoBACGaAQIAzQEAIZsBAQC5AQAhnAEBALkBACGdAQEAuQEAIZ4BAQC6AQAhnwEBALoBACGgAQEAuQEAIaEBAQC6AQAhogEBALoBACGjAUAAuwEAIaQBQAC7AQAhpQFAAM4BACGmAQEAugEAIacBQADOAQAhqAEBALoBACGpAQQAzwEAIaoBBADPAQAhCwcAAL0BACAdAADDAQAgHgAAwwEAIIoBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEA2wEAIQ0HAADAAQA\
gGwAA2QEAIBwAANoBACAdAADaAQAgHgAA2gEAIIoBBAAAAAGLAQQAAAAFjAEEAAAABY0BBAAAAAGOAQQAAAABjwEEAAAAAZABBAAAAAGRAQQA2AEAIQUHAAC9AQAgHQAA1wEAIB4AANcBACCKASAAAAABkQEgANYBACENBwAAvQEAIBsAANEBACAcAAC9AQAgHQAAvQEAIB4AAL0BACCKAQIAAAABiwECAAAABIwBAgAAAASNAQIAAAABjgECAAAAAY8BAgAAAAGQAQIAAAABkQECANUBACELBwAAwAEAIB0AANQBACAeAADUAQAgigFAAAAAAYsBQAAAAAWMAUAAAAAFjQFAAAAAAY4BQAAAAAGPAUAAAAABkAFAAAAAAZEBQADTAQAhDQcAAL0BACAbAADRAQAgHAAA0gEAIB0AANIBACAeAADSAQAgigEEAAAAAYsBBAAAAASMAQQAAAAEjQEEAAAAAY4BBAAAAAGPAQQAAAABkAE\
EAAAAAZEBBADQAQAhDQcAAL0BACAbAADRAQAgHAAA0gEAIB0AANIBACAeAADSAQAgigEEAAAAAYsBBAAAAASMAQQAAAAEjQEEAAAAAY4BBAAAAAGPAQQAAAABkAEEAAAAAZEBBADQAQAhCIoBCAAAAAGLAQgAAAAEjAEIAAAABI0BCAAAAAGOAQgAAAABjwEIAAAAAZABCAAAAAGRAQgA0QEAIQiKAQQAAAABiwEEAAAABIwBBAAAAASNAQQAAAABjgEEAAAAAY8BBAAAAAGQAQQAAAABkQEEANIBACELBwAAwAEAIB0AANQBACAeAADUAQAgigFAAAAAAYsBQAAAAAWMAUAAAAAFjQFAAAAAAY4BQAAAAAGPAUAAAAABkAFAAAAAAZEBQADTAQAhCIoBQAAAAAGLAUAAAAAFjAFAAAAABY0BQAAAAAGOAUAAAAABjwFAAAAAAZABQAAAAAGRAUAA1AEAIQ0HAAC9AQAgGwAA0QEAIBw\
AAL0BACAdAAC9AQAgHgAAvQEAIIoBAgAAAAGLAQIAAAAEjAECAAAABI0BAgAAAAGOAQIAAAABjwECAAAAAZABAgAAAAGRAQIA1QEAIQUHAAC9AQAgHQAA1wEAIB4AANcBACCKASAAAAABkQEgANYBACECigEgAAAAAZEBIADXAQAhDQcAAMABACAbAADZAQAgHAAA2gEAIB0AANoBACAeAADaAQAgigEEAAAAAYsBBAAAAAWMAQQAAAAFjQEEAAAAAY4BBAAAAAGPAQQAAAABkAEEAAAAAZEBBADYAQAhCIoBCAAAAAGLAQgAAAAFjAEIAAAABY0BCAAAAAGOAQgAAAABjwEIAAAAAZABCAAAAAGRAQgA2QEAIQiKAQQAAAABiwEEAAAABYwBBAAAAAWNAQQAAAABjgEEAAAAAY8BBAAAAAGQAQQAAAABkQEEANoBACELBwAAvQEAIB0AAMMBACAeAADDAQAgigEBAAAAAYsBAQAAAAS\
MAQEAAAAEjQEBAAAAAY4BAQAAAAGPAQEAAAABkAEBAAAAAZEBAQDbAQAhGYEBAADcAQAwggEAAIkBABCDAQAA3AEAMIUBAQDFAQAhlgEBAN0BACGXAQQA3gEAIZgBIADfAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhnAEBAMUBACGdAQEAxQEAIZ4BAQDGAQAhnwEBAMYBACGgAQEAxQEAIaEBAQDGAQAhogEBAMYBACGjAUAAxwEAIaQBQADHAQAhpQFAAOEBACGmAQEAxgEAIacBQADhAQAhqAEBAMYBACGpAQQA4gEAIaoBBADiAQAhCIoBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEA4wEAIQiKAQQAAAABiwEEAAAABYwBBAAAAAWNAQQAAAABjgEEAAAAAY8BBAAAAAGQAQQAAAABkQEEANoBACECigEgAAAAAZEBIADXAQA\
hCIoBAgAAAAGLAQIAAAAEjAECAAAABI0BAgAAAAGOAQIAAAABjwECAAAAAZABAgAAAAGRAQIAvQEAIQiKAUAAAAABiwFAAAAABYwBQAAAAAWNAUAAAAABjgFAAAAAAY8BQAAAAAGQAUAAAAABkQFAANQBACEIigEEAAAAAYsBBAAAAASMAQQAAAAEjQEEAAAAAY4BBAAAAAGPAQQAAAABkAEEAAAAAZEBBADSAQAhCIoBAQAAAAGLAQEAAAAEjAEBAAAABI0BAQAAAAGOAQEAAAABjwEBAAAAAZABAQAAAAGRAQEA4wEAIQKFAQEAAAABmgECAAAAARKBAQAA5QEAMIIBAACDAQAQgwEAAOUBADCFAQEAuQEAIZcBBADLAQAhmQEBAMoBACGaAQIAzQEAIZsBAQC5AQAhngEBALoBACGfAQEAugEAIaABAQC5AQAhrAEBALkBACGtAQEAugEAIa4BAQC6AQAhrwEgAMwBACGwAUAAzgE\
AIbEBQAC7AQAhsgFAALsBACEOgQEAAOYBADCCAQAAawAQgwEAAOYBADCFAQEAuQEAIZYBBADPAQAhmAEgAMwBACGZAQEAygEAIZoBAgDNAQAhmwEBALkBACGyAUAAuwEAIbMBAQC6AQAhtAEAAOcBACC1AQEAugEAIbYBQADOAQAhDwcAAL0BACAdAADoAQAgHgAA6AEAIIoBgAAAAAGNAYAAAAABjgGAAAAAAY8BgAAAAAGQAYAAAAABkQGAAAAAAbcBAQAAAAG4AQEAAAABuQEBAAAAAboBgAAAAAG7AYAAAAABvAGAAAAAAQyKAYAAAAABjQGAAAAAAY4BgAAAAAGPAYAAAAABkAGAAAAAAZEBgAAAAAG3AQEAAAABuAEBAAAAAbkBAQAAAAG6AYAAAAABuwGAAAAAAbwBgAAAAAENgQEAAOkBADCCAQAAVQAQgwEAAOkBADCWAQIAzQEAIZ4BAQC6AQAhsgFAAM4BACG9AQEAuQE\
AIb4BAQC6AQAhvwEBALoBACHAAQEAuQEAIcEBQADOAQAhwgFAAM4BACHDAQIAzQEAIQ2BAQAA6gEAMIIBAABCABCDAQAA6gEAMJYBAgDgAQAhngEBAMYBACGyAUAA4QEAIb0BAQDFAQAhvgEBAMYBACG_AQEAxgEAIcABAQDFAQAhwQFAAOEBACHCAUAA4QEAIcMBAgDgAQAhA54BAQAAAAG9AQEAAAABwwECAAAAAQeBAQAA7AEAMIIBAAA8ABCDAQAA7AEAMJkBAQDKAQAhsgFAALsBACHBAUAAzgEAIcUBAQC6AQAhCAEAAO4BACCBAQAA7QEAMIIBAAADABCDAQAA7QEAMJkBAQDdAQAhsgFAAMcBACHBAUAA4QEAIcUBAQDGAQAhIwIAAPUBACAIAAD2AQAggQEAAPIBADCCAQAAEQAQgwEAAPIBADCFAQEAxgEAIZYBAgDgAQAhngEBAMUBACGfAQEAxQEAIbIBQADHAQAhwQF\
AAOEBACHCAUAA4QEAIcYBAQDdAQAhxwEBAMYBACHIAQEAxgEAIckBAQDGAQAhygEBAMYBACHLAQEAxgEAIcwBAQDGAQAhzQEBAMYBACHOAQEAxgEAIc8BAQDGAQAh0AEAAPMBACDRAQAA8wEAINIBAAD0AQAg0wEBAMYBACHUAQAA9AEAINUBAgDgAQAh1gEBAMYBACHXASAA3wEAIdgBAgDgAQAh2QFAAOEBACHaAUAA4QEAIeABAAARACDhAQAAEQAgH4EBAADvAQAwggEAACQAEIMBAADvAQAwhQEBALoBACGWAQIAzQEAIZ4BAQC5AQAhnwEBALkBACGyAUAAuwEAIcEBQADOAQAhwgFAAM4BACHGAQEAygEAIccBAQC6AQAhyAEBALoBACHJAQEAugEAIcoBAQC6AQAhywEBALoBACHMAQEAugEAIc0BAQC6AQAhzgEBALoBACHPAQEAugEAIdABAADnAQAg0QEAAOcBACDSAQA\
A8AEAINMBAQC6AQAh1AEAAPABACDVAQIAzQEAIdYBAQC6AQAh1wEgAMwBACHYAQIAzQEAIdkBQADOAQAh2gFAAM4BACEPBwAAwAEAIB0AAPEBACAeAADxAQAgigGAAAAAAY0BgAAAAAGOAYAAAAABjwGAAAAAAZABgAAAAAGRAYAAAAABtwEBAAAAAbgBAQAAAAG5AQEAAAABugGAAAAAAbsBgAAAAAG8AYAAAAABDIoBgAAAAAGNAYAAAAABjgGAAAAAAY8BgAAAAAGQAYAAAAABkQGAAAAAAbcBAQAAAAG4AQEAAAABuQEBAAAAAboBgAAAAAG7AYAAAAABvAGAAAAAASECAAD1AQAgCAAA9gEAIIEBAADyAQAwggEAABEAEIMBAADyAQAwhQEBAMYBACGWAQIA4AEAIZ4BAQDFAQAhnwEBAMUBACGyAUAAxwEAIcEBQADhAQAhwgFAAOEBACHGAQEA3QEAIccBAQDGAQAhyAEBAMY\
BACHJAQEAxgEAIcoBAQDGAQAhywEBAMYBACHMAQEAxgEAIc0BAQDGAQAhzgEBAMYBACHPAQEAxgEAIdABAADzAQAg0QEAAPMBACDSAQAA9AEAINMBAQDGAQAh1AEAAPQBACDVAQIA4AEAIdYBAQDGAQAh1wEgAN8BACHYAQIA4AEAIdkBQADhAQAh2gFAAOEBACEMigGAAAAAAY0BgAAAAAGOAYAAAAABjwGAAAAAAZABgAAAAAGRAYAAAAABtwEBAAAAAbgBAQAAAAG5AQEAAAABugGAAAAAAbsBgAAAAAG8AYAAAAABDIoBgAAAAAGNAYAAAAABjgGAAAAAAY8BgAAAAAGQAYAAAAABkQGAAAAAAbcBAQAAAAG4AQEAAAABuQEBAAAAAboBgAAAAAG7AYAAAAABvAGAAAAAAQoBAADuAQAggQEAAO0BADCCAQAAAwAQgwEAAO0BADCZAQEA3QEAIbIBQADHAQAhwQFAAOEBACHFAQE\
AxgEAIeABAAADACDhAQAAAwAgA9sBAAAFACDcAQAABQAg3QEAAAUAIBMFAAD4AQAggQEAAPcBADCCAQAACQAQgwEAAPcBADCFAQEAxQEAIZcBBADeAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhngEBAMYBACGfAQEAxgEAIaABAQDFAQAhrAEBAMUBACGtAQEAxgEAIa4BAQDGAQAhrwEgAN8BACGwAUAA4QEAIbEBQADHAQAhsgFAAMcBACESAQAA7gEAIAYAAPwBACCBAQAA-wEAMIIBAAAFABCDAQAA-wEAMIUBAQDFAQAhlgEEAOIBACGYASAA3wEAIZkBAQDdAQAhmgECAOABACGbAQEAxQEAIbIBQADHAQAhswEBAMYBACG0AQAA8wEAILUBAQDGAQAhtgFAAOEBACHgAQAABQAg4QEAAAUAIASFAQEAAAABmQEBAAAAAZoBAgAAAAGbAQEAAAABApoBAgAAAAGzAQEAAAA\
BEAEAAO4BACAGAAD8AQAggQEAAPsBADCCAQAABQAQgwEAAPsBADCFAQEAxQEAIZYBBADiAQAhmAEgAN8BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGyAUAAxwEAIbMBAQDGAQAhtAEAAPMBACC1AQEAxgEAIbYBQADhAQAhA9sBAAAJACDcAQAACQAg3QEAAAkAIAAAAAAB5QEBAAAAAQHlAQEAAAABAeUBQAAAAAEAAAAAAAXlAQQAAAAB6wEEAAAAAewBBAAAAAHtAQQAAAAB7gEEAAAAAQHlASAAAAABBeUBAgAAAAHrAQIAAAAB7AECAAAAAe0BAgAAAAHuAQIAAAABAeUBQAAAAAEF5QEEAAAAAesBBAAAAAHsAQQAAAAB7QEEAAAAAe4BBAAAAAEAAAAAAAcVAADfAgAgFgAA4gIAIOIBAADgAgAg4wEAAOECACDmAQAABQAg5wEAAAUAIOgBAAAHACADFQAA3wIAIOIBAAD\
gAgAg6AEAAAcAIAAAAAAABRUAANkCACAWAADdAgAg4gEAANoCACDjAQAA3AIAIOgBAAABACALFQAAnAIAMBYAAKECADDiAQAAnQIAMOMBAACeAgAw5AEAAJ8CACDlAQAAoAIAMOYBAACgAgAw5wEAAKACADDoAQAAoAIAMOkBAACiAgAw6gEAAKMCADAOhQEBAAAAAZkBAQAAAAGaAQIAAAABmwEBAAAAAZ4BAQAAAAGfAQEAAAABoAEBAAAAAawBAQAAAAGtAQEAAAABrgEBAAAAAa8BIAAAAAGwAUAAAAABsQFAAAAAAbIBQAAAAAECAAAACwAgFQAApwIAIAMAAAALACAVAACnAgAgFgAApgIAIAEOAADbAgAwEwUAAPgBACCBAQAA9wEAMIIBAAAJABCDAQAA9wEAMIUBAQDFAQAhlwEEAN4BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGeAQEAxgEAIZ8BAQDGAQAhoAEBAMU\
BACGsAQEAAAABrQEBAMYBACGuAQEAxgEAIa8BIADfAQAhsAFAAOEBACGxAUAAxwEAIbIBQADHAQAhAgAAAAsAIA4AAKYCACACAAAApAIAIA4AAKUCACASgQEAAKMCADCCAQAApAIAEIMBAACjAgAwhQEBAMUBACGXAQQA3gEAIZkBAQDdAQAhmgECAOABACGbAQEAxQEAIZ4BAQDGAQAhnwEBAMYBACGgAQEAxQEAIawBAQDFAQAhrQEBAMYBACGuAQEAxgEAIa8BIADfAQAhsAFAAOEBACGxAUAAxwEAIbIBQADHAQAhEoEBAACjAgAwggEAAKQCABCDAQAAowIAMIUBAQDFAQAhlwEEAN4BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGeAQEAxgEAIZ8BAQDGAQAhoAEBAMUBACGsAQEAxQEAIa0BAQDGAQAhrgEBAMYBACGvASAA3wEAIbABQADhAQAhsQFAAMcBACGyAUAAxwE\
AIQ6FAQEAgQIAIZkBAQCBAgAhmgECAIsCACGbAQEAgQIAIZ4BAQCCAgAhnwEBAIICACGgAQEAgQIAIawBAQCBAgAhrQEBAIICACGuAQEAggIAIa8BIACKAgAhsAFAAIwCACGxAUAAgwIAIbIBQACDAgAhDoUBAQCBAgAhmQEBAIECACGaAQIAiwIAIZsBAQCBAgAhngEBAIICACGfAQEAggIAIaABAQCBAgAhrAEBAIECACGtAQEAggIAIa4BAQCCAgAhrwEgAIoCACGwAUAAjAIAIbEBQACDAgAhsgFAAIMCACEOhQEBAAAAAZkBAQAAAAGaAQIAAAABmwEBAAAAAZ4BAQAAAAGfAQEAAAABoAEBAAAAAawBAQAAAAGtAQEAAAABrgEBAAAAAa8BIAAAAAGwAUAAAAABsQFAAAAAAbIBQAAAAAEDFQAA2QIAIOIBAADaAgAg6AEAAAEAIAQVAACcAgAw4gEAAJ0CADDkAQAAnwIAIOg\
BAACgAgAwAAAAAAAAAAAFFQAA1AIAIBYAANcCACDiAQAA1QIAIOMBAADWAgAg6AEAAAEAIAMVAADUAgAg4gEAANUCACDoAQAAAQAgFAIAAM8CACAIAADQAgAghQEAAP0BACDBAQAA_QEAIMIBAAD9AQAgxwEAAP0BACDIAQAA_QEAIMkBAAD9AQAgygEAAP0BACDLAQAA_QEAIMwBAAD9AQAgzQEAAP0BACDOAQAA_QEAIM8BAAD9AQAg0gEAAP0BACDTAQAA_QEAINQBAAD9AQAg1gEAAP0BACDZAQAA_QEAINoBAAD9AQAgAAAAAAAHFQAAyAIAIBYAAMsCACDiAQAAyQIAIOMBAADKAgAg5gEAAAMAIOcBAAADACDoAQAAJwAgCxUAALwCADAWAADBAgAw4gEAAL0CADDjAQAAvgIAMOQBAAC_AgAg5QEAAMACADDmAQAAwAIAMOcBAADAAgAw6AEAAMACADDpAQAAwgIAMOoBAAD\
DAgAwCwYAAKkCACCFAQEAAAABlgEEAAAAAZgBIAAAAAGaAQIAAAABmwEBAAAAAbIBQAAAAAGzAQEAAAABtAGAAAAAAbUBAQAAAAG2AUAAAAABAgAAAAcAIBUAAMcCACADAAAABwAgFQAAxwIAIBYAAMYCACABDgAA0wIAMBIBAADuAQAgBgAA_AEAIIEBAAD7AQAwggEAAAUAEIMBAAD7AQAwhQEBAMUBACGWAQQAAAABmAEgAN8BACGZAQEA3QEAIZoBAgDgAQAhmwEBAMUBACGyAUAAxwEAIbMBAQDGAQAhtAEAAPMBACC1AQEAxgEAIbYBQADhAQAh3gEAAPkBACDfAQAA-gEAIAIAAAAHACAOAADGAgAgAgAAAMQCACAOAADFAgAgDoEBAADDAgAwggEAAMQCABCDAQAAwwIAMIUBAQDFAQAhlgEEAOIBACGYASAA3wEAIZkBAQDdAQAhmgECAOABACGbAQEAxQEAIbIBQADHAQA\
hswEBAMYBACG0AQAA8wEAILUBAQDGAQAhtgFAAOEBACEOgQEAAMMCADCCAQAAxAIAEIMBAADDAgAwhQEBAMUBACGWAQQA4gEAIZgBIADfAQAhmQEBAN0BACGaAQIA4AEAIZsBAQDFAQAhsgFAAMcBACGzAQEAxgEAIbQBAADzAQAgtQEBAMYBACG2AUAA4QEAIQqFAQEAgQIAIZYBBACNAgAhmAEgAIoCACGaAQIAiwIAIZsBAQCBAgAhsgFAAIMCACGzAQEAggIAIbQBgAAAAAG1AQEAggIAIbYBQACMAgAhCwYAAJsCACCFAQEAgQIAIZYBBACNAgAhmAEgAIoCACGaAQIAiwIAIZsBAQCBAgAhsgFAAIMCACGzAQEAggIAIbQBgAAAAAG1AQEAggIAIbYBQACMAgAhCwYAAKkCACCFAQEAAAABlgEEAAAAAZgBIAAAAAGaAQIAAAABmwEBAAAAAbIBQAAAAAGzAQEAAAABtAGAAAA\
AAbUBAQAAAAG2AUAAAAABA7IBQAAAAAHBAUAAAAABxQEBAAAAAQIAAAAnACAVAADIAgAgAwAAAAMAIBUAAMgCACAWAADMAgAgBQAAAAMAIA4AAMwCACCyAUAAgwIAIcEBQACMAgAhxQEBAIICACEDsgFAAIMCACHBAUAAjAIAIcUBAQCCAgAhAxUAAMgCACDiAQAAyQIAIOgBAAAnACAEFQAAvAIAMOIBAAC9AgAw5AEAAL8CACDoAQAAwAIAMAMBAAC0AgAgwQEAAP0BACDFAQAA_QEAIAAFAQAAtAIAIAYAANICACCzAQAA_QEAILUBAAD9AQAgtgEAAP0BACAACoUBAQAAAAGWAQQAAAABmAEgAAAAAZoBAgAAAAGbAQEAAAABsgFAAAAAAbMBAQAAAAG0AYAAAAABtQEBAAAAAbYBQAAAAAEdCAAAzgIAIIUBAQAAAAGWAQIAAAABngEBAAAAAZ8BAQAAAAGyAUAAAAABwQFAAAA\
AAcIBQAAAAAHGAQEAAAABxwEBAAAAAcgBAQAAAAHJAQEAAAABygEBAAAAAcsBAQAAAAHMAQEAAAABzQEBAAAAAc4BAQAAAAHPAQEAAAAB0AGAAAAAAdEBgAAAAAHSAYAAAAAB0wEBAAAAAdQBgAAAAAHVAQIAAAAB1gEBAAAAAdcBIAAAAAHYAQIAAAAB2QFAAAAAAdoBQAAAAAECAAAAAQAgFQAA1AIAIAMAAAARACAVAADUAgAgFgAA2AIAIB8AAAARACAIAAC7AgAgDgAA2AIAIIUBAQCCAgAhlgECAIsCACGeAQEAgQIAIZ8BAQCBAgAhsgFAAIMCACHBAUAAjAIAIcIBQACMAgAhxgEBAIECACHHAQEAggIAIcgBAQCCAgAhyQEBAIICACHKAQEAggIAIcsBAQCCAgAhzAEBAIICACHNAQEAggIAIc4BAQCCAgAhzwEBAIICACHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAggI\
AIdQBgAAAAAHVAQIAiwIAIdYBAQCCAgAh1wEgAIoCACHYAQIAiwIAIdkBQACMAgAh2gFAAIwCACEdCAAAuwIAIIUBAQCCAgAhlgECAIsCACGeAQEAgQIAIZ8BAQCBAgAhsgFAAIMCACHBAUAAjAIAIcIBQACMAgAhxgEBAIECACHHAQEAggIAIcgBAQCCAgAhyQEBAIICACHKAQEAggIAIcsBAQCCAgAhzAEBAIICACHNAQEAggIAIc4BAQCCAgAhzwEBAIICACHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAggIAIdQBgAAAAAHVAQIAiwIAIdYBAQCCAgAh1wEgAIoCACHYAQIAiwIAIdkBQACMAgAh2gFAAIwCACEdAgAAzQIAIIUBAQAAAAGWAQIAAAABngEBAAAAAZ8BAQAAAAGyAUAAAAABwQFAAAAAAcIBQAAAAAHGAQEAAAABxwEBAAAAAcgBAQAAAAHJAQEAAAABygEBAAA\
AAcsBAQAAAAHMAQEAAAABzQEBAAAAAc4BAQAAAAHPAQEAAAAB0AGAAAAAAdEBgAAAAAHSAYAAAAAB0wEBAAAAAdQBgAAAAAHVAQIAAAAB1gEBAAAAAdcBIAAAAAHYAQIAAAAB2QFAAAAAAdoBQAAAAAECAAAAAQAgFQAA2QIAIA6FAQEAAAABmQEBAAAAAZoBAgAAAAGbAQEAAAABngEBAAAAAZ8BAQAAAAGgAQEAAAABrAEBAAAAAa0BAQAAAAGuAQEAAAABrwEgAAAAAbABQAAAAAGxAUAAAAABsgFAAAAAAQMAAAARACAVAADZAgAgFgAA3gIAIB8AAAARACACAAC6AgAgDgAA3gIAIIUBAQCCAgAhlgECAIsCACGeAQEAgQIAIZ8BAQCBAgAhsgFAAIMCACHBAUAAjAIAIcIBQACMAgAhxgEBAIECACHHAQEAggIAIcgBAQCCAgAhyQEBAIICACHKAQEAggIAIcsBAQCCAgAhzAE\
BAIICACHNAQEAggIAIc4BAQCCAgAhzwEBAIICACHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAggIAIdQBgAAAAAHVAQIAiwIAIdYBAQCCAgAh1wEgAIoCACHYAQIAiwIAIdkBQACMAgAh2gFAAIwCACEdAgAAugIAIIUBAQCCAgAhlgECAIsCACGeAQEAgQIAIZ8BAQCBAgAhsgFAAIMCACHBAUAAjAIAIcIBQACMAgAhxgEBAIECACHHAQEAggIAIcgBAQCCAgAhyQEBAIICACHKAQEAggIAIcsBAQCCAgAhzAEBAIICACHNAQEAggIAIc4BAQCCAgAhzwEBAIICACHQAYAAAAAB0QGAAAAAAdIBgAAAAAHTAQEAggIAIdQBgAAAAAHVAQIAiwIAIdYBAQCCAgAh1wEgAIoCACHYAQIAiwIAIdkBQACMAgAh2gFAAIwCACEMAQAAqAIAIIUBAQAAAAGWAQQAAAABmAEgAAAAAZkBAQA\
AAAGaAQIAAAABmwEBAAAAAbIBQAAAAAGzAQEAAAABtAGAAAAAAbUBAQAAAAG2AUAAAAABAgAAAAcAIBUAAN8CACADAAAABQAgFQAA3wIAIBYAAOMCACAOAAAABQAgAQAAmgIAIA4AAOMCACCFAQEAgQIAIZYBBACNAgAhmAEgAIoCACGZAQEAgQIAIZoBAgCLAgAhmwEBAIECACGyAUAAgwIAIbMBAQCCAgAhtAGAAAAAAbUBAQCCAgAhtgFAAIwCACEMAQAAmgIAIIUBAQCBAgAhlgEEAI0CACGYASAAigIAIZkBAQCBAgAhmgECAIsCACGbAQEAgQIAIbIBQACDAgAhswEBAIICACG0AYAAAAABtQEBAIICACG2AUAAjAIAIQMCBAIHAAYICAMBAQABAwEAAQYMBAcABQEFDQMBBg4AAQgPAAAAAAUHAAsbAAwcAA0dAA4eAA8AAAAAAAUHAAsbAAwcAA0dAA4eAA8BAQABAQEAAQM\
HABQdABUeABYAAAADBwAUHQAVHgAWAAAABQcAHBsAHRwAHh0AHx4AIAAAAAAABQcAHBsAHRwAHh0AHx4AIAEBAAEBAQABBQcAJRsAJhwAJx0AKB4AKQAAAAAABQcAJRsAJhwAJx0AKB4AKQEFeAMBBX4DBQcALhsALxwAMB0AMR4AMgAAAAAABQcALhsALxwAMB0AMR4AMgAAAAUHADgbADkcADodADseADwAAAAAAAUHADgbADkcADodADseADwAAAADBwBCHQBDHgBEAAAAAwcAQh0AQx4ARAkCAQoQAQsTAQwUAQ0VAQ8XARAZBxEaCBIcARMeBxQfCRcgARghARkiBx8lCiAmECEoAiIpAiMrAiQsAiUtAiYvAicxBygyESk0Aio2Bys3Eiw4Ai05Ai46By89EzA-FzFAGDJBGDNEGDRFGDVGGDZIGDdKBzhLGTlNGDpPBztQGjxRGD1SGD5TBz9WG0BXIUFYA0JZA0NaA0RbA0V\
cA0ZeA0dgB0hhIkljA0plB0tmI0xnA01oA05pB09sJFBtKlFuBFJvBFNwBFRxBFVyBFZ0BFd2B1h3K1l6BFp8B1t9LFx_BF2AAQRegQEHX4QBLWCFATNhhwE0YogBNGOLATRkjAE0ZY0BNGaPATRnkQEHaJIBNWmUATRqlgEHa5cBNmyYATRtmQE0bpoBB2-dATdwngE9caABPnKhAT5zpAE-dKUBPnWmAT52qAE-d6oBB3irAT95rQE-eq8BB3uwAUB8sQE-fbIBPn6zAQd_tgFBgAG3AUU"};async function decodeBase64AsWasm(wasmBase64){let{Buffer:Buffer2}=await import("node:buffer"),wasmArray=Buffer2.from(wasmBase64,"base64");return new WebAssembly.Module(wasmArray)}__name(decodeBase64AsWasm,"dec\
odeBase64AsWasm");config.compilerWasm={getRuntime:__name(async()=>await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs"),"getRuntime"),getQueryCompilerWasmModule:__name(async()=>{let{wasm}=await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs");return await decodeBase64AsWasm(wasm)},"getQueryCompilerWasmModule"),importName:"./query_compiler_fast_bg.js"};function getPrismaClientClass(){return runtime.getPrismaClient(config)}__name(getPrismaClientClass,
"getPrismaClientClass");import*as runtime2 from"@prisma/client/runtime/client";var getExtensionContext=runtime2.Extensions.getExtensionContext;var NullTypes2={DbNull:runtime2.NullTypes.DbNull,JsonNull:runtime2.NullTypes.JsonNull,AnyNull:runtime2.NullTypes.AnyNull};var TransactionIsolationLevel=runtime2.makeStrictEnum({ReadUncommitted:"ReadUncommitted",ReadCommitted:"ReadCommitted",RepeatableRead:"RepeatableRead",Serializable:"Serializable"});var defineExtension=runtime2.Extensions.defineExtension;globalThis.__dirname=path.dirname(fileURLToPath(import.meta.url));var PrismaClient=getPrismaClientClass();var MIGRATIONS=[{name:"20261121000000_first",sql:`-- CreateTable
CREATE TABLE "instances" (
    "uuid" UUID NOT NULL,
    "id" SERIAL NOT NULL,
    "project_id" VARCHAR(255) NOT NULL,
    "user_id" VARCHAR(255) NOT NULL,
    "display_name" VARCHAR(255),
    "hostname" VARCHAR(255),
    "host" VARCHAR(255),
    "node" VARCHAR(255),
    "availability_zone" VARCHAR(255),
    "vm_state" VARCHAR(255),
    "task_state" VARCHAR(255),
    "key_name" VARCHAR(255),
    "key_data" TEXT,
    "user_data" TEXT,
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "system_metadata" JSONB NOT NULL DEFAULT '{}',
    "network" JSONB,
    "image_ref" VARCHAR(255),
    "flavor" JSONB,
    "launch_index" INTEGER NOT NULL DEFAULT 0,
    "reservation_id" VARCHAR(255),
    "config_drive" BOOLEAN NOT NULL DEFAULT false,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMP(3) NOT NULL,
    "updated_at" TIMESTAMP(3),
    "launched_at" TIMESTAMP(3),
    "terminated_at" TIMESTAMP(3),
    "deleted_at" TIMESTAMP(3),

    CONSTRAINT "instances_pkey" PRIMARY KEY ("uuid")
);

-- CreateTable
CREATE TABLE "instance_extra" (
    "instance_uuid" UUID NOT NULL,
    "keypairs" TEXT,
    "created_at" TIMESTAMP(3) NOT NULL,
    "updated_at" TIMESTAMP(3),

    CONSTRAINT "instance_extra_pkey" PRIMARY KEY ("instance_uuid")
);

-- CreateTable
CREATE TABLE "key_pairs" (
    "id" SERIAL NOT NULL,
    "user_id" VARCHAR(255),
    "name" VARCHAR(255) COLLATE "C" NOT NULL,
    "fingerprint" VARCHAR(255),
    "public_key" TEXT,
    "type" VARCHAR(16) NOT NULL DEFAULT 'ssh',
    "created_at" TIMESTAMP(3),
    "updated_at" TIMESTAMP(3),
    "deleted_at" TIMESTAMP(3),
    "deleted" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "key_pairs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "console_connections" (
    "id" BIGSERIAL NOT NULL,
    "instance_uuid" UUID NOT NULL,
    "host" VARCHAR(255) NOT NULL,
    "address" VARCHAR(255),
    "port" INTEGER NOT NULL,
    "console_type" VARCHAR(32) NOT NULL,
    "options" JSONB NOT NULL DEFAULT '{}',
    "exclusive" BOOLEAN NOT NULL,
    "reserved_by" VARCHAR(255),
    "reserved_until" TIMESTAMP(3),
    "created_at" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "console_connections_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "console_tokens" (
    "token_hash" VARCHAR(64) NOT NULL,
    "connection_id" BIGINT,
    "instance_uuid" UUID NOT NULL,
    "console_type" VARCHAR(32) NOT NULL,
    "host" VARCHAR(255) NOT NULL,
    "port" INTEGER NOT NULL,
    "internal_access_path" VARCHAR(255),
    "access_url_base" VARCHAR(255),
    "access" VARCHAR(8) NOT NULL DEFAULT 'full',
    "single_use" BOOLEAN NOT NULL DEFAULT false,
    "used_at" TIMESTAMP(3),
    "expires" TIMESTAMP(3) NOT NULL,
    "user_id" VARCHAR(255),
    "project_id" VARCHAR(255),
    "created_at" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "console_tokens_pkey" PRIMARY KEY ("token_hash")
);

-- CreateTable
CREATE TABLE "console_sessions" (
    "id" UUID NOT NULL,
    "connection_id" BIGINT,
    "exclusive" BOOLEAN NOT NULL,
    "instance_uuid" UUID NOT NULL,
    "host" VARCHAR(255) NOT NULL,
    "port" INTEGER NOT NULL,
    "console_type" VARCHAR(32) NOT NULL,
    "proxy" VARCHAR(255) NOT NULL,
    "client_address" VARCHAR(255) NOT NULL,
    "user_id" VARCHAR(255),
    "project_id" VARCHAR(255),
    "access" VARCHAR(8) NOT NULL,
    "attach_secret_hash" VARCHAR(64),
    "resume_hash" VARCHAR(64),
    "started_at" TIMESTAMP(3) NOT NULL,
    "lease_expires" TIMESTAMP(3) NOT NULL,
    "ending_at" TIMESTAMP(3),
    "ending_reason" VARCHAR(255),
    "ended_at" TIMESTAMP(3),
    "end_reason" VARCHAR(255),
    "bytes_in" BIGINT NOT NULL DEFAULT 0,
    "bytes_out" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "console_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "services" (
    "binary" VARCHAR(255) NOT NULL,
    "host" VARCHAR(255) NOT NULL,
    "topic" VARCHAR(255) NOT NULL,
    "version" VARCHAR(32) NOT NULL,
    "endpoint" VARCHAR(255),
    "last_seen_at" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "services_pkey" PRIMARY KEY ("binary","host")
);

-- CreateIndex
CREATE UNIQUE INDEX "instances_id_key" ON "instances"("id");

-- CreateIndex
CREATE INDEX "instances_project_id_created_at_idx" ON "instances"("project_id", "created_at") WHERE (deleted_at IS NULL);

-- CreateIndex
CREATE INDEX "instances_host_idx" ON "instances"("host") WHERE (deleted_at IS NULL);

-- CreateIndex
CREATE UNIQUE INDEX "key_pairs_user_id_name_deleted_key" ON "key_pairs"("user_id", "name", "deleted");

-- CreateIndex
CREATE INDEX "console_connections_host_idx" ON "console_connections"("host");

-- CreateIndex
CREATE UNIQUE INDEX "console_connections_instance_uuid_host_console_type_port_key" ON "console_connections"("instance_uuid", "host", "console_type", "port");

-- CreateIndex
CREATE UNIQUE INDEX "console_connections_one_tcp_port" ON "console_connections"("address", "port") WHERE (address IS NOT NULL);

-- CreateIndex
CREATE INDEX "console_tokens_instance_uuid_idx" ON "console_tokens"("instance_uuid");

-- CreateIndex
CREATE INDEX "console_tokens_expires_idx" ON "console_tokens"("expires");

-- CreateIndex
CREATE INDEX "console_tokens_connection_id_idx" ON "console_tokens"("connection_id");

-- CreateIndex
CREATE INDEX "console_sessions_instance_uuid_started_at_idx" ON "console_sessions"("instance_uuid", "started_at");

-- CreateIndex
CREATE INDEX "console_sessions_open_lease" ON "console_sessions"("lease_expires") WHERE (ended_at IS NULL);

-- CreateIndex
CREATE INDEX "console_sessions_open_proxy" ON "console_sessions"("proxy") WHERE (ended_at IS NULL);

-- CreateIndex
CREATE INDEX "console_sessions_project_id_started_at_idx" ON "console_sessions"("project_id", "started_at");

-- CreateIndex
CREATE UNIQUE INDEX "console_sessions_one_exclusive" ON "console_sessions"("connection_id") WHERE (exclusive AND ended_at IS NULL);

-- CreateIndex
CREATE INDEX "services_topic_last_seen_at_idx" ON "services"("topic", "last_seen_at");

-- AddForeignKey
ALTER TABLE "instance_extra" ADD CONSTRAINT "instance_extra_instance_uuid_fkey" FOREIGN KEY ("instance_uuid") REFERENCES "instances"("uuid") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "console_connections" ADD CONSTRAINT "console_connections_instance_uuid_fkey" FOREIGN KEY ("instance_uuid") REFERENCES "instances"("uuid") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "console_tokens" ADD CONSTRAINT "console_tokens_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "console_connections"("id") ON DELETE CASCADE ON UPDATE CASCADE;
`},{name:"20261122012501_historic_consoleauth",sql:`-- AlterTable
ALTER TABLE "console_tokens" ALTER COLUMN "internal_access_path" SET DATA TYPE VARCHAR(1024),
ALTER COLUMN "access_url_base" SET DATA TYPE TEXT;

-- CreateIndex
CREATE UNIQUE INDEX "console_sessions_one_exclusive_address" ON "console_sessions"("host", "port") WHERE (exclusive AND ended_at IS NULL AND connection_id IS NULL);
`}];var InstanceExtraStore=class{static{__name(this,"InstanceExtraStore")}#client;constructor(client){this.#client=client}async findKeyPairs(instanceUuid){let row=await this.#client.instanceExtraRow.findUnique({where:{instanceUuid},select:{keypairs:!0}});if(row===null||row.keypairs===null)return null;try{return KeyPairList.fromPrimitive(JSON.parse(row.keypairs))}catch(cause){throw new ServiceError("INTERNAL",`the stored key pairs of instance ${instanceUuid} cannot be read`,{cause})}}async saveKeyPairs(instanceUuid,keyPairs,at){
let keypairs=JSON.stringify(KeyPairList.toPrimitive(keyPairs));await this.#client.instanceExtraRow.upsert({where:{instanceUuid},create:{instanceUuid,keypairs,createdAt:at},update:{keypairs,updatedAt:at},select:{instanceUuid:!0}})}};var PAGE_MAX=1e3,InstancesStore=class{static{__name(this,"InstancesStore")}#client;constructor(client){this.#client=client}async create(instance){return instanceOfRow(await this.#client.instanceRow.create({data:instance}))}async find(uuid){let row=await this.#client.instanceRow.findUnique({where:{uuid}});return row===null||row.deletedAt!==null?null:instanceOfRow(row)}async get(uuid){let found=await this.find(uuid);if(found===null)throw notFound(uuid);return found}async lock(uuid){return await this.#client.
$queryRaw`SELECT 1 AS locked FROM instances WHERE uuid = ${uuid}::uuid FOR NO KEY UPDATE`,this.find(uuid)}async list(page={}){let{projectId,host,limit=PAGE_MAX,marker}=page,after=marker===void 0?null:await this.find(marker);if(marker!==void 0&&after===null)throw new ServiceError("INVALID_ARGUMENT",`the marker ${marker} is not an instance`);return(await this.#client.instanceRow.findMany({where:{deletedAt:null,...projectId===void 0?{}:{projectId},...host===void 0?{}:{host},...after===null?{}:{OR:[
{createdAt:{lt:after.createdAt}},{createdAt:after.createdAt,id:{lt:after.id}}]}},orderBy:[{createdAt:"desc"},{id:"desc"}],take:Math.min(limit,PAGE_MAX)})).map(instanceOfRow)}async isDeleted(uuid){return await this.#client.instanceRow.count({where:{uuid,deletedAt:{not:null}}})>0}async listDeleted(uuids,host){return(await this.#client.instanceRow.findMany({where:{uuid:{in:uuids.slice(0,PAGE_MAX)},host,deletedAt:{not:null}},select:{uuid:!0}})).map(({uuid})=>uuid)}async count(filter={}){return this.#client.
instanceRow.count({where:{deletedAt:null,...filter}})}async countByHost(){let groups=await this.#client.instanceRow.groupBy({by:["host"],where:{deletedAt:null,host:{not:null}},_count:{_all:!0}});return new Map(groups.map(group=>[group.host??"",group._count._all]))}async update(uuid,changes,at,owner){let rows=await this.#client.instanceRow.updateManyAndReturn({where:{uuid,deletedAt:null,...owner===void 0?{}:{host:owner}},data:{...changes,updatedAt:at,generation:{increment:1}}});if(rows[0]===void 0)
throw notFound(uuid);return instanceOfRow(rows[0])}async softDelete(uuid,at){let{count}=await this.#client.instanceRow.updateMany({where:{uuid,deletedAt:null},data:{deletedAt:at,terminatedAt:at,updatedAt:at,vmState:"deleted",taskState:null,generation:{increment:1}}});return count===0?0:(await this.#client.consoleTokenRow.deleteMany({where:{instanceUuid:uuid}}),await this.#client.consoleConnectionRow.deleteMany({where:{instanceUuid:uuid}}),count)}};function notFound(uuid){return new ServiceError(
"NOT_FOUND",`Instance ${uuid} could not be found.`)}__name(notFound,"notFound");function instanceOfRow(row){let{uuid,id,projectId,userId,displayName,hostname,host,vmState,taskState,keyName,keyData,userData}=row,{createdAt,updatedAt,launchedAt,deletedAt,availabilityZone,launchIndex,generation}=row;return Object.freeze({uuid,id,projectId,userId,displayName,hostname,host,vmState,taskState,keyName,keyData,userData,metadata:Object.freeze(row.metadata),createdAt,updatedAt,launchedAt,deletedAt,deleted:deletedAt!==
null,availabilityZone,launchIndex,generation})}__name(instanceOfRow,"instanceOfRow");var ServicesStore=class{static{__name(this,"ServicesStore")}#client;constructor(client){this.#client=client}async report(service){let{binary,host,topic,version,endpoint,lastSeenAt}=service;await this.#client.$executeRaw`
      INSERT INTO services ("binary", host, topic, version, endpoint, last_seen_at)
      VALUES (${binary}, ${host}, ${topic}, ${version}, ${endpoint}, ${lastSeenAt}::timestamp(3))
      ON CONFLICT ("binary", host) DO UPDATE
        SET topic = excluded.topic, version = excluded.version, endpoint = excluded.endpoint, last_seen_at = excluded.last_seen_at
        WHERE services.last_seen_at <= excluded.last_seen_at`}async list(topic){return(await this.#client.serviceRow.findMany({where:topic===void 0?{}:{topic},orderBy:[{topic:"asc"},{host:"asc"}],take:1e4})).map(row=>Object.freeze(row))}async listLive(topic,since){return(await this.#client.serviceRow.findMany({where:{topic,lastSeenAt:{gte:since}},orderBy:{host:"asc"},take:1e4})).map(row=>Object.freeze(row))}async findLive(topic,host,since){let row=await this.#client.serviceRow.findFirst({where:{
topic,host,lastSeenAt:{gte:since}},orderBy:{lastSeenAt:"desc"}});return row&&Object.freeze(row)}async listLiveVersions(since){return(await this.#client.serviceRow.groupBy({by:["topic","version"],where:{lastSeenAt:{gte:since}},orderBy:[{topic:"asc"},{version:"asc"}],take:1e4})).map(({topic,version})=>({topic,version}))}async deleteUnseen(before){return(await this.#client.serviceRow.deleteMany({where:{lastSeenAt:{lt:before}}})).count}};async function openCellDb(source){let database=await openDatabase(source,{schema:"cell",migrations:MIGRATIONS});return cellDbOf(database)}__name(openCellDb,"openCellDb");function cellDbOf(database){let client=openClient(options=>new PrismaClient(options),database);return{...storesOf(client.root),transaction:__name(work=>client.transaction(tx=>work(storesOf(tx))),"transaction"),migrate:__name(()=>database.migrate(),"migrate"),check:__name(()=>database.check(),"check"),close:__name(()=>client.close(),
"close")}}__name(cellDbOf,"cellDbOf");function storesOf(client){return{instances:new InstancesStore(client),instanceExtra:new InstanceExtraStore(client),consoleConnections:new ConsoleConnectionsStore(client),consoleTokens:new ConsoleTokensStore(client),consoleSessions:new ConsoleSessionsStore(client),services:new ServicesStore(client)}}__name(storesOf,"storesOf");var ALIVE_EVERY_MS=6e4;async function waitFor(options){let alive=setInterval(()=>{},ALIVE_EVERY_MS);try{return await attemptUntil(options)}finally{clearInterval(alive)}}__name(waitFor,"waitFor");async function attemptUntil(options){let{what,attempt,log,clock=systemClock,signal,timeoutMs=6e5}=options,{firstDelayMs=100,delayMsMax=5e3,logEveryMs=1e4}=options,startMs=clock.now().getTime(),lastLogMs=Number.NEGATIVE_INFINITY,delayMs=firstDelayMs;for(;;){if(signal?.aborted)throw new ServiceError("CANCE\
LLED",`stopped waiting for ${what}`);try{let result=await attempt();return lastLogMs>0&&log.info({what},`${what} is there`),result}catch(error){if(options.isFinal?.(error))throw error;let nowMs=clock.now().getTime();if(nowMs-startMs>=timeoutMs){let seconds=Math.round((nowMs-startMs)/1e3);throw new ServiceError("UNAVAILABLE",`${what} was not there within ${seconds} s: ${reasonOf(error)}`,{cause:error})}nowMs-lastLogMs>=logEveryMs&&(lastLogMs=nowMs,log.warn({what,reason:reasonOf(error)},`waiting f\
or ${what}`))}await clock.sleep(delayMs*(.5+Math.random()/2),signal),delayMs=Math.min(delayMs*2,delayMsMax)}}__name(attemptUntil,"attemptUntil");function reasonOf(error){return error instanceof AggregateError&&error.errors.length>0?reasonOf(error.errors[0]):isServiceError(error)||error instanceof Error?error.message||error.name:String(error)}__name(reasonOf,"reasonOf");export{openDatabase,openClient,consoleConnectionOf,consoleSessionOf,openCellDb,waitFor};
