"""Many rows that look like one: catalogues, customers and orders made by SQL."""


def clone(execute, table, row_id, count, changes=""):
    """Insert copies of a row, each with an id of its own.

    :param execute: runs a statement with its parameters and gives the rows
    :param str changes: further names and values of the copies in SQL, made of their number ``n``
    :return: the id before the first copy
    """
    [[start]] = execute(f"SELECT max(id) FROM {table}", None)
    execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record("
        f"known, jsonb_build_object('id', %(start)s + n {changes}))).*"
        f" FROM {table} known, generate_series(1, %(count)s) n WHERE known.id = %(id)s",
        {"start": start, "count": count, "id": row_id},
    )
    execute(f"SELECT setval('{table}_id_seq', %s)", [start + count])
    return start


def crowd(server, product_id, count):
    """Have as many more products as one: in stock and listed wherever that one is, with the same figures."""

    def execute(query, parameters):
        return server.sql(query, parameters)

    [[template_id]] = execute("SELECT product_tmpl_id FROM product_product WHERE id = %s", [product_id])
    templates = clone(execute, "product_template", template_id, count)
    products = clone(
        execute,
        "product_product",
        product_id,
        count,
        f", 'product_tmpl_id', {templates} + n, 'cartona_id', 'crowd-{product_id}-' || n",
    )
    mine = f", 'product_id', {products} + n"
    for table, more in (
        ("stock_quant", ""),
        ("marketplace_product_link", f", 'key', 'crowd-{product_id}-' || n, 'external_id', 'C' || n"),
    ):
        for [row_id] in execute(f"SELECT id FROM {table} WHERE product_id = %s ORDER BY id", [product_id]):
            clone(execute, table, row_id, count, mine + more)
    execute("ANALYZE", None)
