#!/bin/bash
# Install the addon, or update it when it is installed. The image's entrypoint adds where the database is.
set -euo pipefail
export PGHOST="$HOST" PGUSER="$USER" PGPASSWORD="$PASSWORD"
query="SELECT state FROM ir_module_module WHERE name = 'cartona_integration'"
if [ "$(psql -d "$DATABASE" -Atc "$query" 2>/dev/null)" = installed ]; then
    what=(-u cartona_integration)
else
    what=(-i "sale_management,sale_stock,cartona_integration")
fi
exec /entrypoint.sh odoo --addons-path=/mnt/extra-addons -d "$DATABASE" "${what[@]}" \
    --stop-after-init --no-http --without-demo=all
