#!/bin/bash
# Install the addon, or update it when it is installed. The image's entrypoint adds where the database is.
set -euo pipefail
export PGHOST="$HOST" PGUSER="$USER" PGPASSWORD="$PASSWORD"
ask() { psql -d "$DATABASE" -Atc "$1"; }
state=""
if [ "$(ask "SELECT to_regclass('ir_module_module') IS NOT NULL")" = t ]; then
    state=$(ask "SELECT state FROM ir_module_module WHERE name = 'cartona_integration'")
fi
if [ "$state" = installed ]; then
    what=(-u cartona_integration)
else
    what=(-i "sale_management,sale_stock,cartona_integration")
fi
exec /entrypoint.sh odoo --addons-path=/mnt/extra-addons --data-dir=/var/lib/odoo -d "$DATABASE" "${what[@]}" \
    --stop-after-init --no-http --without-demo=all
