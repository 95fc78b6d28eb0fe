def uninstall_hook(env):
    """Cancel the addon's jobs that have not run: their code is about to go. Orders and customers stay."""
    jobs = env["queue.job"].search(
        [
            ("model_name", "=", "marketplace.config"),
            ("state", "in", ("wait_dependencies", "pending", "enqueued")),
        ]
    )
    jobs.button_cancelled()
