"""An order costs the same among many as among few."""

from ..bench.test_orders_in import ORDERS, Import
from ..faults.common import size
from ..system.crowd import clone

PRODUCTS = size("GROWN_PRODUCTS", 100_000)
CUSTOMERS = size("GROWN_CUSTOMERS", 90_000)
SALES = size("GROWN_ORDERS", 90_000)


def statements(env):
    """Give a function that runs a statement and gives its rows."""

    def execute(query, parameters):
        env.flush_all()
        env.cr.execute(query, parameters)
        return env.cr.fetchall() if env.cr.description else []

    return execute


def seed(inside, bench):
    """Make the database large."""
    with inside.transaction() as env:
        product = env["product.product"].browse(bench.products[0])
        start = clone(statements(env), "product_template", product.product_tmpl_id.id, PRODUCTS)
        clone(
            statements(env),
            "product_product",
            product.id,
            PRODUCTS,
            f", 'product_tmpl_id', {start} + n, 'cartona_id', 'grown-' || n, 'default_code', 'G' || n",
        )
        sale = env["sale.order"].search([("cartona_id", "!=", False)], limit=1)
        customers = clone(
            statements(env),
            "res_partner",
            sale.partner_id.id,
            CUSTOMERS,
            ", 'cartona_id', 'retailer_grown-' || n",
        )
        clone(
            statements(env),
            "sale_order",
            sale.id,
            SALES,
            f", 'cartona_id', 'grown-' || n, 'name', 'G' || n, "
            f"'partner_id', {customers} + 1 + n %% {CUSTOMERS}",
        )
    with inside.registry.cursor() as cr:
        cr.commit()
        cr._cnx.autocommit = True
        cr.execute("VACUUM ANALYZE")  # which PostgreSQL would do by itself while we measure
        cr._cnx.autocommit = False


def test_an_order_costs_the_same_among_many(inside, middle, figure):
    bench = Import(inside, "draft")
    for _run in range(3):  # caches
        bench.ours()
    few = middle({"ours": bench.ours}, runs=9)["ours"]
    seed(inside, bench)
    bench.ours()
    many = middle({"ours": bench.ours}, runs=9)["ours"]
    figure(
        f"order among {PRODUCTS} products, {CUSTOMERS} customers, {SALES} orders, beside few",
        many / few,
        1.1,
        f"{1000 * many / ORDERS:.1f} ms beside {1000 * few / ORDERS:.1f} ms of CPU",
    )
