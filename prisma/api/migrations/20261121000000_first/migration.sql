-- CreateTable
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
