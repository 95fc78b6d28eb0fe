from inspect import isfunction, unwrap

from odoo.tests.common import TransactionCase

ADDON = "odoo.addons.cartona_integration."


class TestModels(TransactionCase):
    """How the addon's files extend each other's models."""

    def test_no_method_hides_one_of_another_file_that_only_adds_to_it(self):
        """Whose method comes first follows from who imports whom, and may change with an import."""
        for name, model in self.env.registry.items():
            calls_on = {}
            for definition in model.__mro__:
                if not definition.__module__.startswith(ADDON) or definition._name != name:
                    continue
                for method, code in vars(definition).items():
                    if isfunction(code):
                        self.assertTrue(
                            calls_on.get(method, True), f"{name}.{method} of {definition.__module__}"
                        )
                        calls_on[method] = "__class__" in unwrap(code).__code__.co_freevars
