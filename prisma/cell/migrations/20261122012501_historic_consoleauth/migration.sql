-- AlterTable
ALTER TABLE "console_tokens" ALTER COLUMN "internal_access_path" SET DATA TYPE VARCHAR(1024),
ALTER COLUMN "access_url_base" SET DATA TYPE TEXT;

-- CreateIndex
CREATE UNIQUE INDEX "console_sessions_one_exclusive_address" ON "console_sessions"("host", "port") WHERE (exclusive AND ended_at IS NULL AND connection_id IS NULL);
