import { createRequire as createRequireFor } from 'node:module';
const requireFor = (room) => createRequireFor(new URL(`../../../../../${room}/package.json`, import.meta.url));
import{openClient,openDatabase}from"./chunk-FKKNU55X.js";import{ServiceError}from"./chunk-RZZANT7V.js";import{__name}from"./chunk-YMXUMM6X.js";var CELLS_MAX=1e3,CellMappingsStore=class{static{__name(this,"CellMappingsStore")}#client;constructor(client){this.#client=client}async save(cell,at){let{uuid,...rest}=cell;await this.#client.cellMappingRow.upsert({where:{uuid},create:{uuid,...rest,createdAt:at},update:{...rest,updatedAt:at},select:{uuid:!0}})}async find(uuid){let row=await this.#client.cellMappingRow.findUnique({where:{uuid}});return row&&cellOfRow(row)}async get(uuid){let found=await this.find(uuid);if(found===null)throw new ServiceError(
"NOT_FOUND",`there is no cell ${uuid}`);return found}async findByName(name){let row=await this.#client.cellMappingRow.findUnique({where:{name}});return row&&cellOfRow(row)}async list(){return(await this.#client.cellMappingRow.findMany({orderBy:{name:"asc"},take:CELLS_MAX})).map(cellOfRow)}async delete(uuid){return(await this.#client.cellMappingRow.deleteMany({where:{uuid}})).count}};function cellOfRow(row){let{uuid,name,transportUrl,databaseUrl,disabled}=row;return Object.freeze({uuid,name,transportUrl,
databaseUrl,disabled})}__name(cellOfRow,"cellOfRow");import"node:process";import*as path from"node:path";import{fileURLToPath}from"node:url";import"@prisma/client/runtime/client";import*as runtime from"@prisma/client/runtime/client";var config={previewFeatures:["partialIndexes"],clientVersion:"7.10.0",engineVersion:"0edf323efd1d98336f3f0a68684b56f689b900d3",activeProvider:"postgresql",inlineSchema:`// The API database: what belongs to a user or to the whole deployment, never to one cell.
// Writer of every table: the api. Columns are UTC timestamps without zone; the applications' clock fills them.

generator client {
  provider               = "prisma-client"
  output                 = "../../libs/api-db/src/generated"
  runtime                = "nodejs"
  moduleFormat           = "esm"
  generatedFileExtension = "ts"
  importFileExtension    = "ts"
  previewFeatures        = ["partialIndexes"]
}

datasource db {
  provider = "postgresql"
}

/// A user's public key under the user's own name for it. The private key is never here.
model KeyPairRow {
  id          Int       @id @default(autoincrement())
  userId      String    @map("user_id") @db.VarChar(255)
  /// Collated "C" by the migration: one order here, in every cell and in JavaScript, so that lists can be merged.
  name        String    @db.VarChar(255)
  fingerprint String    @db.VarChar(255)
  publicKey   String    @map("public_key")
  /// ssh, x509
  type        String    @db.VarChar(16)
  createdAt   DateTime  @map("created_at")
  updatedAt   DateTime? @map("updated_at")

  @@unique([userId, name])
  @@map("key_pairs")
}

/// Where a cell is. Both URLs may hold passwords: no store hands them out but by get().
model CellMappingRow {
  uuid         String    @id @db.Uuid
  name         String    @unique @db.VarChar(255)
  transportUrl String    @map("transport_url")
  databaseUrl  String    @map("database_url")
  disabled     Boolean   @default(false)
  createdAt    DateTime  @map("created_at")
  updatedAt    DateTime? @map("updated_at")

  instances InstanceMappingRow[]

  @@map("cell_mappings")
}

/// Which cell an instance lives in; NULL until one is chosen.
model InstanceMappingRow {
  instanceUuid String   @id @map("instance_uuid") @db.Uuid
  cellUuid     String?  @map("cell_uuid") @db.Uuid
  projectId    String   @map("project_id") @db.VarChar(255)
  userId       String   @map("user_id") @db.VarChar(255)
  createdAt    DateTime @map("created_at")

  cell CellMappingRow? @relation(fields: [cellUuid], references: [uuid], onDelete: Restrict)

  @@index([projectId])
  @@index([userId])
  @@index([cellUuid])
  @@map("instance_mappings")
}
`,runtimeDataModel:{models:{},enums:{},types:{}},parameterizationSchema:{strings:[],graph:""}};config.runtimeDataModel=JSON.parse('{"models":{"KeyPairRow":{"fields":[{"name":"id","kind":"scalar","type":"Int"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"name","kind":"scalar","type":"String"},{"name":"fingerprint","kind":"scalar","type":"String"},{"name":"publicKey","kind":"scalar","type":"String","dbName":"public_key"},{"name":"type","kind":"scalar","type":"Strin\
g"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"updatedAt","kind":"scalar","type":"DateTime","dbName":"updated_at"}],"dbName":"key_pairs","schema":null},"CellMappingRow":{"fields":[{"name":"uuid","kind":"scalar","type":"String"},{"name":"name","kind":"scalar","type":"String"},{"name":"transportUrl","kind":"scalar","type":"String","dbName":"transport_url"},{"name":"databaseUrl","kind":"scalar","type":"String","dbName":"database_url"},{"name":"disabled","k\
ind":"scalar","type":"Boolean"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"updatedAt","kind":"scalar","type":"DateTime","dbName":"updated_at"},{"name":"instances","kind":"object","type":"InstanceMappingRow","relationName":"CellMappingRowToInstanceMappingRow"}],"dbName":"cell_mappings","schema":null},"InstanceMappingRow":{"fields":[{"name":"instanceUuid","kind":"scalar","type":"String","dbName":"instance_uuid"},{"name":"cellUuid","kind":"scalar","type":"\
String","dbName":"cell_uuid"},{"name":"projectId","kind":"scalar","type":"String","dbName":"project_id"},{"name":"userId","kind":"scalar","type":"String","dbName":"user_id"},{"name":"createdAt","kind":"scalar","type":"DateTime","dbName":"created_at"},{"name":"cell","kind":"object","type":"CellMappingRow","relationName":"CellMappingRowToInstanceMappingRow"}],"dbName":"instance_mappings","schema":null}},"enums":{},"types":{}}');config.parameterizationSchema={strings:JSON.parse('["where","KeyPairRo\
w.findUnique","KeyPairRow.findUniqueOrThrow","orderBy","cursor","KeyPairRow.findFirst","KeyPairRow.findFirstOrThrow","KeyPairRow.findMany","data","KeyPairRow.createOne","KeyPairRow.createMany","KeyPairRow.createManyAndReturn","KeyPairRow.updateOne","KeyPairRow.updateMany","KeyPairRow.updateManyAndReturn","create","update","KeyPairRow.upsertOne","KeyPairRow.deleteOne","KeyPairRow.deleteMany","having","_count","_avg","_sum","_min","_max","KeyPairRow.groupBy","KeyPairRow.aggregate","cell","instance\
s","CellMappingRow.findUnique","CellMappingRow.findUniqueOrThrow","CellMappingRow.findFirst","CellMappingRow.findFirstOrThrow","CellMappingRow.findMany","CellMappingRow.createOne","CellMappingRow.createMany","CellMappingRow.createManyAndReturn","CellMappingRow.updateOne","CellMappingRow.updateMany","CellMappingRow.updateManyAndReturn","CellMappingRow.upsertOne","CellMappingRow.deleteOne","CellMappingRow.deleteMany","CellMappingRow.groupBy","CellMappingRow.aggregate","InstanceMappingRow.findUniqu\
e","InstanceMappingRow.findUniqueOrThrow","InstanceMappingRow.findFirst","InstanceMappingRow.findFirstOrThrow","InstanceMappingRow.findMany","InstanceMappingRow.createOne","InstanceMappingRow.createMany","InstanceMappingRow.createManyAndReturn","InstanceMappingRow.updateOne","InstanceMappingRow.updateMany","InstanceMappingRow.updateManyAndReturn","InstanceMappingRow.upsertOne","InstanceMappingRow.deleteOne","InstanceMappingRow.deleteMany","InstanceMappingRow.groupBy","InstanceMappingRow.aggregat\
e","AND","OR","NOT","instanceUuid","cellUuid","projectId","userId","createdAt","equals","in","notIn","lt","lte","gt","gte","not","contains","startsWith","endsWith","uuid","name","transportUrl","databaseUrl","disabled","updatedAt","every","some","none","id","fingerprint","publicKey","type","userId_name","is","isNot","connectOrCreate","upsert","createMany","set","disconnect","delete","connect","updateMany","deleteMany","increment","decrement","multiply","divide"]'),graph:"ogEcMAw-AAB2ADA_AAAEABBAA\
AB2ADBEAQBoACFFQABqACFSAQBoACFWQABrACFaAgAAAAFbAQBoACFcAQBoACFdAQBoACFeAAB4ACABAAAAAQAgAQAAAAEAIAs-AAB2ADA_AAAEABBAAAB2ADBEAQBoACFFQABqACFSAQBoACFWQABrACFaAgB3ACFbAQBoACFcAQBoACFdAQBoACEBVgAAeQAgAwAAAAQAIAMAAAUAMAQAAAEAIAMAAAAEACADAAAFADAEAAABACADAAAABAAgAwAABQAwBAAAAQAgCEQBAAAAAUVAAAAAAVIBAAAAAVZAAAAAAVoCAAAAAVsBAAAAAVwBAAAAAV0BAAAAAQEIAAAJACAIRAEAAAABRUAAAAABUgEAAAABVkAAAAABWgIAAAABWwEAAAABXAEAAAABXQEAAAABAQgAAAsAMAEIAAALADAIRAEAfQAhRUAAfgAhUgEAfQAhVkAAhgEAIVoCAJwBACFbAQB9ACFcAQB9ACFdAQB9ACECA\
AAAAQAgCAAADgAgCEQBAH0AIUVAAH4AIVIBAH0AIVZAAIYBACFaAgCcAQAhWwEAfQAhXAEAfQAhXQEAfQAhAgAAAAQAIAgAABAAIAIAAAAEACAIAAAQACADAAAAAQAgDwAACQAgEAAADgAgAQAAAAEAIAEAAAAEACAGFQAAlwEAIBYAAJgBACAXAACbAQAgGAAAmgEAIBkAAJkBACBWAAB5ACALPgAAcgAwPwAAFwAQQAAAcgAwRAEAVAAhRUAAVQAhUgEAVAAhVkAAYQAhWgIAcwAhWwEAVAAhXAEAVAAhXQEAVAAhAwAAAAQAIAMAABYAMBQAABcAIAMAAAAEACADAAAFADAEAAABACALHQAAbAAgPgAAZgAwPwAAIAAQQAAAZgAwRUAAagAhUQEAAAABUgEAAAABUwEAaAAhVAEAaAAhVSAAaQAhVkAAawAhAQAAABoAIAkcAABwACA-AABuADA_AAAcABBAAABuADBBAQBnACFCA\
QBvACFDAQBoACFEAQBoACFFQABqACECHAAAlgEAIEIAAHkAIAkcAABwACA-AABuADA_AAAcABBAAABuADBBAQAAAAFCAQBvACFDAQBoACFEAQBoACFFQABqACEDAAAAHAAgAwAAHQAwBAAAHgAgCx0AAGwAID4AAGYAMD8AACAAEEAAAGYAMEVAAGoAIVEBAGcAIVIBAGgAIVMBAGgAIVQBAGgAIVUgAGkAIVZAAGsAIQEAAAAgACABAAAAHAAgAQAAABoAIAIdAACVAQAgVgAAeQAgAwAAACAAIAMAACQAMAQAABoAIAMAAAAgACADAAAkADAEAAAaACADAAAAIAAgAwAAJAAwBAAAGgAgCB0AAJQBACBFQAAAAAFRAQAAAAFSAQAAAAFTAQAAAAFUAQAAAAFVIAAAAAFWQAAAAAEBCAAAKAAgB0VAAAAAAVEBAAAAAVIBAAAAAVMBAAAAAVQBAAAAAVUgAAAAAVZAAAAAAQEIAAAqA\
DABCAAAKgAwCB0AAIcBACBFQAB-ACFRAQB9ACFSAQB9ACFTAQB9ACFUAQB9ACFVIACFAQAhVkAAhgEAIQIAAAAaACAIAAAtACAHRUAAfgAhUQEAfQAhUgEAfQAhUwEAfQAhVAEAfQAhVSAAhQEAIVZAAIYBACECAAAAIAAgCAAALwAgAgAAACAAIAgAAC8AIAMAAAAaACAPAAAoACAQAAAtACABAAAAGgAgAQAAACAAIAQVAACCAQAgGAAAhAEAIBkAAIMBACBWAAB5ACAKPgAAXwAwPwAANgAQQAAAXwAwRUAAVQAhUQEAUgAhUgEAVAAhUwEAVAAhVAEAVAAhVSAAYAAhVkAAYQAhAwAAACAAIAMAADUAMBQAADYAIAMAAAAgACADAAAkADAEAAAaACABAAAAHgAgAQAAAB4AIAMAAAAcACADAAAdADAEAAAeACADAAAAHAAgAwAAHQAwBAAAHgAgAwAAABwAIAMAAB0AMAQAAB4AI\
AYcAACBAQAgQQEAAAABQgEAAAABQwEAAAABRAEAAAABRUAAAAABAQgAAD4AIAVBAQAAAAFCAQAAAAFDAQAAAAFEAQAAAAFFQAAAAAEBCAAAQAAwAQgAAEAAMAEAAAAgACAGHAAAgAEAIEEBAH0AIUIBAH8AIUMBAH0AIUQBAH0AIUVAAH4AIQIAAAAeACAIAABEACAFQQEAfQAhQgEAfwAhQwEAfQAhRAEAfQAhRUAAfgAhAgAAABwAIAgAAEYAIAIAAAAcACAIAABGACABAAAAIAAgAwAAAB4AIA8AAD4AIBAAAEQAIAEAAAAeACABAAAAHAAgBBUAAHoAIBgAAHwAIBkAAHsAIEIAAHkAIAg-AABRADA_AABOABBAAABRADBBAQBSACFCAQBTACFDAQBUACFEAQBUACFFQABVACEDAAAAHAAgAwAATQAwFAAATgAgAwAAABwAIAMAAB0AMAQAAB4AIAg-AABRADA_AABOABBAAABRA\
DBBAQBSACFCAQBTACFDAQBUACFEAQBUACFFQABVACELFQAAVwAgGAAAWgAgGQAAWgAgRgEAAAABRwEAAAAESAEAAAAESQEAAAABSgEAAAABSwEAAAABTAEAAAABTQEAXgAhCxUAAFwAIBgAAF0AIBkAAF0AIEYBAAAAAUcBAAAABUgBAAAABUkBAAAAAUoBAAAAAUsBAAAAAUwBAAAAAU0BAFsAIQ4VAABXACAYAABaACAZAABaACBGAQAAAAFHAQAAAARIAQAAAARJAQAAAAFKAQAAAAFLAQAAAAFMAQAAAAFNAQBZACFOAQAAAAFPAQAAAAFQAQAAAAELFQAAVwAgGAAAWAAgGQAAWAAgRkAAAAABR0AAAAAESEAAAAAESUAAAAABSkAAAAABS0AAAAABTEAAAAABTUAAVgAhCxUAAFcAIBgAAFgAIBkAAFgAIEZAAAAAAUdAAAAABEhAAAAABElAAAAAAUpAAAAAAUtAAAAAAUxAA\
AAAAU1AAFYAIQhGAgAAAAFHAgAAAARIAgAAAARJAgAAAAFKAgAAAAFLAgAAAAFMAgAAAAFNAgBXACEIRkAAAAABR0AAAAAESEAAAAAESUAAAAABSkAAAAABS0AAAAABTEAAAAABTUAAWAAhDhUAAFcAIBgAAFoAIBkAAFoAIEYBAAAAAUcBAAAABEgBAAAABEkBAAAAAUoBAAAAAUsBAAAAAUwBAAAAAU0BAFkAIU4BAAAAAU8BAAAAAVABAAAAAQtGAQAAAAFHAQAAAARIAQAAAARJAQAAAAFKAQAAAAFLAQAAAAFMAQAAAAFNAQBaACFOAQAAAAFPAQAAAAFQAQAAAAELFQAAXAAgGAAAXQAgGQAAXQAgRgEAAAABRwEAAAAFSAEAAAAFSQEAAAABSgEAAAABSwEAAAABTAEAAAABTQEAWwAhCEYCAAAAAUcCAAAABUgCAAAABUkCAAAAAUoCAAAAAUsCAAAAAUwCAAAAAU0CAFwAI\
QtGAQAAAAFHAQAAAAVIAQAAAAVJAQAAAAFKAQAAAAFLAQAAAAFMAQAAAAFNAQBdACFOAQAAAAFPAQAAAAFQAQAAAAELFQAAVwAgGAAAWgAgGQAAWgAgRgEAAAABRwEAAAAESAEAAAAESQEAAAABSgEAAAABSwEAAAABTAEAAAABTQEAXgAhCj4AAF8AMD8AADYAEEAAAF8AMEVAAFUAIVEBAFIAIVIBAFQAIVMBAFQAIVQBAFQAIVUgAGAAIVZAAGEAIQUVAABXACAYAABlACAZAABlACBGIAAAAAFNIABkACELFQAAXAAgGAAAYwAgGQAAYwAgRkAAAAABR0AAAAAFSEAAAAAFSUAAAAABSkAAAAABS0AAAAABTEAAAAABTUAAYgAhCxUAAFwAIBgAAGMAIBkAAGMAIEZAAAAAAUdAAAAABUhAAAAABUlAAAAAAUpAAAAAAUtAAAAAAUxAAAAAAU1AAGIAIQhGQAAAAAFHQAAAAAVIQ\
AAAAAVJQAAAAAFKQAAAAAFLQAAAAAFMQAAAAAFNQABjACEFFQAAVwAgGAAAZQAgGQAAZQAgRiAAAAABTSAAZAAhAkYgAAAAAU0gAGUAIQsdAABsACA-AABmADA_AAAgABBAAABmADBFQABqACFRAQBnACFSAQBoACFTAQBoACFUAQBoACFVIABpACFWQABrACEIRgEAAAABRwEAAAAESAEAAAAESQEAAAABSgEAAAABSwEAAAABTAEAAAABTQEAbQAhC0YBAAAAAUcBAAAABEgBAAAABEkBAAAAAUoBAAAAAUsBAAAAAUwBAAAAAU0BAFoAIU4BAAAAAU8BAAAAAVABAAAAAQJGIAAAAAFNIABlACEIRkAAAAABR0AAAAAESEAAAAAESUAAAAABSkAAAAABS0AAAAABTEAAAAABTUAAWAAhCEZAAAAAAUdAAAAABUhAAAAABUlAAAAAAUpAAAAAAUtAAAAAAUxAAAAAAU1AAGMAIQNXA\
AAcACBYAAAcACBZAAAcACAIRgEAAAABRwEAAAAESAEAAAAESQEAAAABSgEAAAABSwEAAAABTAEAAAABTQEAbQAhCRwAAHAAID4AAG4AMD8AABwAEEAAAG4AMEEBAGcAIUIBAG8AIUMBAGgAIUQBAGgAIUVAAGoAIQhGAQAAAAFHAQAAAAVIAQAAAAVJAQAAAAFKAQAAAAFLAQAAAAFMAQAAAAFNAQBxACENHQAAbAAgPgAAZgAwPwAAIAAQQAAAZgAwRUAAagAhUQEAZwAhUgEAaAAhUwEAaAAhVAEAaAAhVSAAaQAhVkAAawAhXwAAIAAgYAAAIAAgCEYBAAAAAUcBAAAABUgBAAAABUkBAAAAAUoBAAAAAUsBAAAAAUwBAAAAAU0BAHEAIQs-AAByADA_AAAXABBAAAByADBEAQBUACFFQABVACFSAQBUACFWQABhACFaAgBzACFbAQBUACFcAQBUACFdAQBUACENFQAAVwAgFgAAd\
QAgFwAAVwAgGAAAVwAgGQAAVwAgRgIAAAABRwIAAAAESAIAAAAESQIAAAABSgIAAAABSwIAAAABTAIAAAABTQIAdAAhDRUAAFcAIBYAAHUAIBcAAFcAIBgAAFcAIBkAAFcAIEYCAAAAAUcCAAAABEgCAAAABEkCAAAAAUoCAAAAAUsCAAAAAUwCAAAAAU0CAHQAIQhGCAAAAAFHCAAAAARICAAAAARJCAAAAAFKCAAAAAFLCAAAAAFMCAAAAAFNCAB1ACELPgAAdgAwPwAABAAQQAAAdgAwRAEAaAAhRUAAagAhUgEAaAAhVkAAawAhWgIAdwAhWwEAaAAhXAEAaAAhXQEAaAAhCEYCAAAAAUcCAAAABEgCAAAABEkCAAAAAUoCAAAAAUsCAAAAAUwCAAAAAU0CAFcAIQJEAQAAAAFSAQAAAAEAAAAAAWQBAAAAAQFkQAAAAAEBZAEAAAABBw8AAJ4BACAQAAChAQAgYQAAnwEAIGIAA\
KABACBlAAAgACBmAAAgACBnAAAaACADDwAAngEAIGEAAJ8BACBnAAAaACAAAAABZCAAAAABAWRAAAAAAQsPAACIAQAwEAAAjQEAMGEAAIkBADBiAACKAQAwYwAAiwEAIGQAAIwBADBlAACMAQAwZgAAjAEAMGcAAIwBADBoAACOAQAwaQAAjwEAMARBAQAAAAFDAQAAAAFEAQAAAAFFQAAAAAECAAAAHgAgDwAAkwEAIAMAAAAeACAPAACTAQAgEAAAkgEAIAEIAACdAQAwCRwAAHAAID4AAG4AMD8AABwAEEAAAG4AMEEBAAAAAUIBAG8AIUMBAGgAIUQBAGgAIUVAAGoAIQIAAAAeACAIAACSAQAgAgAAAJABACAIAACRAQAgCD4AAI8BADA_AACQAQAQQAAAjwEAMEEBAGcAIUIBAG8AIUMBAGgAIUQBAGgAIUVAAGoAIQg-AACPAQAwPwAAkAEAEEAAAI8BADBBAQBnACFCAQBvA\
CFDAQBoACFEAQBoACFFQABqACEEQQEAfQAhQwEAfQAhRAEAfQAhRUAAfgAhBEEBAH0AIUMBAH0AIUQBAH0AIUVAAH4AIQRBAQAAAAFDAQAAAAFEAQAAAAFFQAAAAAEEDwAAiAEAMGEAAIkBADBjAACLAQAgZwAAjAEAMAACHQAAlQEAIFYAAHkAIAAAAAAABWQCAAAAAWoCAAAAAWsCAAAAAWwCAAAAAW0CAAAAAQRBAQAAAAFDAQAAAAFEAQAAAAFFQAAAAAEHRUAAAAABUQEAAAABUgEAAAABUwEAAAABVAEAAAABVSAAAAABVkAAAAABAgAAABoAIA8AAJ4BACADAAAAIAAgDwAAngEAIBAAAKIBACAJAAAAIAAgCAAAogEAIEVAAH4AIVEBAH0AIVIBAH0AIVMBAH0AIVQBAH0AIVUgAIUBACFWQACGAQAhB0VAAH4AIVEBAH0AIVIBAH0AIVMBAH0AIVQBAH0AIVUgAIUBACFWQ\
ACGAQAhAAAAAAUVAAYWAAcXAAgYAAkZAAoAAAAAAAUVAAYWAAcXAAgYAAkZAAoCFQAOHR8NARwhDAEdIgAAAAMVABIYABMZABQAAAADFQASGAATGQAUARxDDAEcSQwDFQAZGAAaGQAbAAAAAxUAGRgAGhkAGwECAQIDAQUGAQYHAQcIAQkKAQoMAgsNAwwPAQ0RAg4SBBETARIUARMVAhoYBRsZCx4bDB8jDCAlDCEmDCInDCMpDCQrAiUsDyYuDCcwAigxECkyDCozDCs0Aiw3ES04FS45DS86DTA7DTE8DTI9DTM_DTRBAjVCFjZFDTdHAjhIFzlKDTpLDTtMAjxPGD1QHA"};async function decodeBase64AsWasm(wasmBase64){let{Buffer}=await import("node:buffer"),wasmArray=Buffer.from(wasmBase64,"base64");return new WebAssembly.
Module(wasmArray)}__name(decodeBase64AsWasm,"decodeBase64AsWasm");config.compilerWasm={getRuntime:__name(async()=>await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs"),"getRuntime"),getQueryCompilerWasmModule:__name(async()=>{let{wasm}=await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs");return await decodeBase64AsWasm(wasm)},"getQueryCompilerWasmModule"),importName:"./query_compiler_fast_bg.js"};function getPrismaClientClass(){return runtime.getPrismaClient(
config)}__name(getPrismaClientClass,"getPrismaClientClass");import*as runtime2 from"@prisma/client/runtime/client";var getExtensionContext=runtime2.Extensions.getExtensionContext;var NullTypes2={DbNull:runtime2.NullTypes.DbNull,JsonNull:runtime2.NullTypes.JsonNull,AnyNull:runtime2.NullTypes.AnyNull};var TransactionIsolationLevel=runtime2.makeStrictEnum({ReadUncommitted:"ReadUncommitted",ReadCommitted:"ReadCommitted",RepeatableRead:"RepeatableRead",Serializable:"Serializable"});var defineExtension=runtime2.Extensions.defineExtension;globalThis.__dirname=path.dirname(fileURLToPath(import.meta.url));var PrismaClient=getPrismaClientClass();var MIGRATIONS=[{name:"20261121000000_first",sql:`-- CreateTable
CREATE TABLE "key_pairs" (
    "id" SERIAL NOT NULL,
    "user_id" VARCHAR(255) NOT NULL,
    "name" VARCHAR(255) COLLATE "C" NOT NULL,
    "fingerprint" VARCHAR(255) NOT NULL,
    "public_key" TEXT NOT NULL,
    "type" VARCHAR(16) NOT NULL,
    "created_at" TIMESTAMP(3) NOT NULL,
    "updated_at" TIMESTAMP(3),

    CONSTRAINT "key_pairs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cell_mappings" (
    "uuid" UUID NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "transport_url" TEXT NOT NULL,
    "database_url" TEXT NOT NULL,
    "disabled" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMP(3) NOT NULL,
    "updated_at" TIMESTAMP(3),

    CONSTRAINT "cell_mappings_pkey" PRIMARY KEY ("uuid")
);

-- CreateTable
CREATE TABLE "instance_mappings" (
    "instance_uuid" UUID NOT NULL,
    "cell_uuid" UUID,
    "project_id" VARCHAR(255) NOT NULL,
    "user_id" VARCHAR(255) NOT NULL,
    "created_at" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "instance_mappings_pkey" PRIMARY KEY ("instance_uuid")
);

-- CreateIndex
CREATE UNIQUE INDEX "key_pairs_user_id_name_key" ON "key_pairs"("user_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "cell_mappings_name_key" ON "cell_mappings"("name");

-- CreateIndex
CREATE INDEX "instance_mappings_project_id_idx" ON "instance_mappings"("project_id");

-- CreateIndex
CREATE INDEX "instance_mappings_user_id_idx" ON "instance_mappings"("user_id");

-- CreateIndex
CREATE INDEX "instance_mappings_cell_uuid_idx" ON "instance_mappings"("cell_uuid");

-- AddForeignKey
ALTER TABLE "instance_mappings" ADD CONSTRAINT "instance_mappings_cell_uuid_fkey" FOREIGN KEY ("cell_uuid") REFERENCES "cell_mappings"("uuid") ON DELETE RESTRICT ON UPDATE CASCADE;
`}];var InstanceMappingsStore=class{static{__name(this,"InstanceMappingsStore")}#client;constructor(client){this.#client=client}async save(mapping){await this.#client.instanceMappingRow.upsert({where:{instanceUuid:mapping.instanceUuid},create:mapping,update:{cellUuid:mapping.cellUuid},select:{instanceUuid:!0}})}async find(instanceUuid){let row=await this.#client.instanceMappingRow.findUnique({where:{instanceUuid}});return row&&mappingOfRow(row)}async get(instanceUuid){let found=await this.find(instanceUuid);
if(found===null)throw new ServiceError("NOT_FOUND",`Instance ${instanceUuid} could not be found.`);return found}async delete(instanceUuid){return(await this.#client.instanceMappingRow.deleteMany({where:{instanceUuid}})).count}};function mappingOfRow(row){return Object.freeze({...row})}__name(mappingOfRow,"mappingOfRow");var PAGE_MAX=1e3,KeyPairsStore=class{static{__name(this,"KeyPairsStore")}#client;constructor(client){this.#client=client}async create(keyPair){try{return keyPairOfRow(await this.#client.keyPairRow.create({data:keyPair}))}catch(cause){throw cause instanceof ServiceError&&cause.code==="ALREADY_EXISTS"?new ServiceError("ALREADY_EXISTS",`Key pair '${keyPair.name}' already exists.`,{cause}):cause}}async find(userId,name){let row=await this.#client.keyPairRow.findUnique({where:{userId_name:{userId,name}}});
return row&&keyPairOfRow(row)}async get(userId,name){let found=await this.find(userId,name);if(found===null)throw notFound(userId,name);return found}async list(userId,page={}){return page.marker!==void 0&&await this.get(userId,page.marker),(await this.#client.keyPairRow.findMany({where:{userId,...page.marker===void 0?{}:{name:{gt:page.marker}}},orderBy:{name:"asc"},take:Math.min(page.limit??PAGE_MAX,PAGE_MAX)})).map(keyPairOfRow)}async count(userId){return this.#client.keyPairRow.count({where:{userId}})}async lockUser(userId){
await this.#client.$queryRaw`SELECT 1 AS locked FROM (SELECT pg_advisory_xact_lock(hashtextextended(${userId}, 7230))) AS l`}async delete(userId,name){return(await this.#client.keyPairRow.deleteMany({where:{userId,name}})).count}};function notFound(userId,name){return new ServiceError("NOT_FOUND",`Keypair ${name} not found for user ${userId}`)}__name(notFound,"notFound");function keyPairOfRow(row){return Object.freeze({...row,deletedAt:null,deleted:!1})}__name(keyPairOfRow,"keyPairOfRow");async function openApiDb(source){let database=await openDatabase(source,{schema:"api",migrations:MIGRATIONS});return apiDbOf(database)}__name(openApiDb,"openApiDb");function apiDbOf(database){let client=openClient(options=>new PrismaClient(options),database);return{...storesOf(client.root),transaction:__name(work=>client.transaction(tx=>work(storesOf(tx))),"transaction"),migrate:__name(()=>database.migrate(),"migrate"),check:__name(()=>database.check(),"check"),close:__name(()=>client.close(),"c\
lose")}}__name(apiDbOf,"apiDbOf");function storesOf(client){return{keyPairs:new KeyPairsStore(client),cellMappings:new CellMappingsStore(client),instanceMappings:new InstanceMappingsStore(client)}}__name(storesOf,"storesOf");export{openApiDb};
