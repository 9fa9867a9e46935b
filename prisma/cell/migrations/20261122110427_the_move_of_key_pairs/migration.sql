-- AlterTable
ALTER TABLE "instances" ADD COLUMN     "metadata_tokens" VARCHAR(8);

-- AlterTable
ALTER TABLE "instance_extra" ADD COLUMN     "injected_files" JSONB,
ADD COLUMN     "set_aside" TEXT;

-- AlterTable
ALTER TABLE "key_pairs" ADD COLUMN     "set_aside" TEXT;

-- CreateTable
CREATE TABLE "instance_passwords" (
    "instance_uuid" UUID NOT NULL,
    "password" VARCHAR(1020) NOT NULL,
    "created_at" TIMESTAMP(3) NOT NULL,

    CONSTRAINT "instance_passwords_pkey" PRIMARY KEY ("instance_uuid")
);

-- CreateTable
CREATE TABLE "instance_addresses" (
    "instance_uuid" UUID NOT NULL,
    "address" VARCHAR(45) NOT NULL,
    "kind" VARCHAR(8) NOT NULL,

    CONSTRAINT "instance_addresses_pkey" PRIMARY KEY ("instance_uuid","address")
);

-- CreateIndex
CREATE INDEX "instance_addresses_address_idx" ON "instance_addresses"("address");

-- CreateIndex
CREATE INDEX "instance_extra_unmigrated" ON "instance_extra"("instance_uuid") WHERE (keypairs IS NULL);

-- CreateIndex
CREATE INDEX "key_pairs_live" ON "key_pairs"("id") WHERE (deleted = 0);

-- AddForeignKey
ALTER TABLE "instance_passwords" ADD CONSTRAINT "instance_passwords_instance_uuid_fkey" FOREIGN KEY ("instance_uuid") REFERENCES "instances"("uuid") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "instance_addresses" ADD CONSTRAINT "instance_addresses_instance_uuid_fkey" FOREIGN KEY ("instance_uuid") REFERENCES "instances"("uuid") ON DELETE CASCADE ON UPDATE CASCADE;
