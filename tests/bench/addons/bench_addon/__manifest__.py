{
    "name": "Bench",
    "version": "17.0.1.0.0",
    "summary": "What the webhook of cartona_integration is compared with; never installed",
    "author": "cartona_integration",
    "license": "LGPL-3",
    "depends": ["cartona_integration"],
    "installable": True,
}
