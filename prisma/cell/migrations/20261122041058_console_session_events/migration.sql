-- AlterTable
ALTER TABLE "console_sessions" ADD COLUMN     "claim" UUID;

-- AlterTable
ALTER TABLE "console_connections" ADD COLUMN     "reserved_token_hash" VARCHAR(64),
ADD COLUMN     "reserved_token_until" TIMESTAMP(3);

-- CreateTable
CREATE TABLE "console_session_events" (
    "id" BIGSERIAL NOT NULL,
    "xact" BIGINT NOT NULL DEFAULT ((pg_current_xact_id())::text)::bigint,
    "at" TIMESTAMP(3) NOT NULL,
    "kind" VARCHAR(16) NOT NULL,
    "reason" VARCHAR(255),
    "session_id" UUID NOT NULL,

    CONSTRAINT "console_session_events_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "console_session_events_xact_id_idx" ON "console_session_events"("xact", "id");

-- CreateIndex
CREATE INDEX "console_session_events_at_idx" ON "console_session_events"("at");

-- CreateIndex
CREATE INDEX "console_tokens_host_expires_idx" ON "console_tokens"("host", "expires");

-- CreateIndex
CREATE INDEX "console_sessions_user_id_started_at_idx" ON "console_sessions"("user_id", "started_at");

-- CreateIndex
CREATE INDEX "console_sessions_started_at_id_idx" ON "console_sessions"("started_at", "id");

-- CreateIndex
CREATE INDEX "console_sessions_open_resume" ON "console_sessions"("resume_hash") WHERE (ended_at IS NULL);

-- CreateIndex
CREATE INDEX "console_sessions_open_instance" ON "console_sessions"("instance_uuid") WHERE (ended_at IS NULL);

-- CreateIndex
CREATE INDEX "console_sessions_open_user" ON "console_sessions"("user_id") WHERE (ended_at IS NULL);
