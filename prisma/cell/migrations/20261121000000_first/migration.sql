-- CreateTable
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
