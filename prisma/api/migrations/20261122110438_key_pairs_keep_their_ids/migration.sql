-- DropIndex
DROP INDEX "key_pairs_user_id_name_key";

-- AlterTable
ALTER TABLE "key_pairs" DROP CONSTRAINT "key_pairs_pkey",
ADD CONSTRAINT "key_pairs_pkey" PRIMARY KEY ("user_id", "name");
