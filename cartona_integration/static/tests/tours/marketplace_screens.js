/** @odoo-module **/

import {registry} from "@web/core/registry";

// Every view of the addon, and every view of Odoo's it changes: opened, one record of it, and all its pages.
// What a browser reports as an error on the way fails the test.
const OURS = [
    ["cartona_integration.action_marketplace_dashboard", false],
    ["cartona_integration.action_marketplace_config", true],
    ["cartona_integration.action_marketplace_order", true],
    ["cartona_integration.action_marketplace_event", true],
    ["cartona_integration.action_marketplace_blockage", false],
    ["cartona_integration.action_marketplace_link", true],
    ["cartona_integration.action_marketplace_workbench", false],
    ["cartona_integration.action_marketplace_order_step", true],
    ["cartona_integration.action_marketplace_sync_log", false],
];
const THEIRS = [
    ["sale.order", true],
    ["product.template", true],
    ["product.product", true],
    ["res.partner", true],
    ["stock.picking", true],
    ["stock.quant", false],
];

function listOf(model) {
    return {
        type: "ir.actions.act_window",
        name: model,
        res_model: model,
        views: [
            [false, "list"],
            [false, "form"],
        ],
    };
}

function open(name, action) {
    const {doAction} = odoo.__WOWL_DEBUG__.root.env.services.action;
    doAction(action, {clearBreadcrumbs: true}).then(() => {
        document.querySelector(".o_action_manager").dataset.screen = name;
    });
}

function openPages() {
    for (const page of document.querySelectorAll(".o_form_view .o_notebook_headers .nav-link")) {
        page.click();
    }
}

function stepsOf(name, action, hasForm) {
    const here = `.o_action_manager[data-screen="${name}"]`;
    const steps = [
        {content: `open ${name}`, trigger: ".o_action_manager", run: () => open(name, action)},
        {content: `${name} is there`, trigger: `${here} .o_view_controller`, run: () => {}},
    ];
    if (hasForm) {
        steps.push(
            {content: `a record of ${name}`, trigger: `${here} .o_data_row .o_data_cell`, run: "click"},
            {content: `its form`, trigger: `${here} .o_form_view .o_form_sheet`, run: openPages},
            {content: `its pages`, trigger: `${here} .o_form_view .o_form_sheet`, run: () => {}}
        );
    }
    return steps;
}

// Windows on top of what was opened last.
const WINDOWS = [
    "cartona_integration.action_marketplace_fetch_order",
    "cartona_integration.action_marketplace_order_file",
    "cartona_integration.action_marketplace_allocation_preview",
    "cartona_integration.action_marketplace_rehearsal",
];

// Windows a button opens: on which record, found how.
const BUTTONS = [
    ["marketplace.config", "action_go_live", [["dialect", "=", "cartona"]]],
    ["sale.order", "action_marketplace_cancel", [["marketplace_config_id", "!=", false]]],
    ["marketplace.event", "action_ask_reason", [["state", "=", "hold"]]],
    ["marketplace.event", "action_choose_customer", [["state", "=", "hold"]]],
    ["stock.picking", "button_validate", [["sale_id.marketplace_config_id", "!=", false]]],
];

async function press(model, button, domain) {
    const {action, orm} = odoo.__WOWL_DEBUG__.root.env.services;
    const ids = await orm.search(model, domain, {limit: 1, order: "id desc"});
    action.doAction(await orm.call(model, button, [ids]));
}

function stepsOfWindow(name, run) {
    return [
        {content: `open ${name}`, trigger: ".o_action_manager", run},
        {content: `${name} is there`, trigger: ".modal-dialog .o_form_view", run: () => {}},
        {content: `close ${name}`, trigger: ".modal-dialog .btn-close", run: "click"},
        {content: `${name} is gone`, trigger: "body:not(:has(.modal-dialog))", run: () => {}},
    ];
}

registry.category("web_tour.tours").add("marketplace_screens", {
    test: true,
    url: "/web",
    steps: () => [
        ...OURS.flatMap(([action, hasForm]) => stepsOf(action, action, hasForm)),
        ...WINDOWS.flatMap((name) =>
            stepsOfWindow(name, () => odoo.__WOWL_DEBUG__.root.env.services.action.doAction(name))
        ),
        ...BUTTONS.flatMap(([model, button, domain]) =>
            stepsOfWindow(button, () => press(model, button, domain))
        ),
        ...THEIRS.flatMap(([model, hasForm]) => stepsOf(model, listOf(model), hasForm)),
    ],
});

// What somebody does first, up to the answer; the form goes on showing what was entered.
const FIRST = {
    type: "ir.actions.act_window",
    name: "first account",
    res_model: "marketplace.config",
    views: [[false, "form"]],
    context: {
        default_name: "Made by Hand",
        default_code: "made-by-hand",
        default_dialect: "rest",
        default_api_base_url: "https://shop.example.com/api",
        default_auth_token: "token-of-made-by-hand",
    },
};

registry.category("web_tour.tours").add("marketplace_first_account", {
    test: true,
    url: "/web",
    steps: () => [
        {
            content: "open a new account",
            trigger: ".o_action_manager",
            run: () => open("first", FIRST),
        },
        {
            content: "save it",
            trigger: ".o_action_manager[data-screen='first'] .o_form_button_save",
            run: "click",
        },
        {
            content: "ask the marketplace",
            trigger: "button[name='action_test_connection']",
            run: "click",
        },
        {
            content: "it answered",
            trigger: ".o_notification:contains('Connected')",
            run: () => {},
        },
        {
            content: "the account is there, and what became of it",
            trigger: ".o_field_widget[name='connection_status']:contains('Connected')",
            run: () => {
                const name = document.querySelector(".o_field_widget[name='name'] input").value;
                if (name !== "Made by Hand") {
                    console.error(`the form shows "${name}"`);
                }
            },
        },
    ],
});

// The work ends while somebody types: the page sees it by itself, and what was typed stays.
async function openLive() {
    const {orm} = odoo.__WOWL_DEBUG__.root.env.services;
    const [id] = await orm.search("marketplace.config", [["code", "=", "rest_test"]]);
    open("progress", {...listOf("marketplace.config"), views: [[false, "form"]], res_id: id});
}

async function endWork() {
    const {orm} = odoo.__WOWL_DEBUG__.root.env.services;
    const ids = await orm.search("marketplace.config", [["code", "=", "rest_test"]]);
    await orm.call("marketplace.config", "action_pause_sending", [ids]);
}

// As a browser does at each key, before the field is left.
function type(text) {
    const input = document.querySelector(NAME);
    input.focus();
    input.value = text;
    input.dispatchEvent(new Event("input", {bubbles: true}));
}

const NAME = ".o_action_manager[data-screen='progress'] .o_field_widget[name='name'] input";

registry.category("web_tour.tours").add("marketplace_progress", {
    test: true,
    url: "/web",
    steps: () => [
        {content: "open an account at work", trigger: ".o_action_manager", run: openLive},
        {
            content: "something is under way",
            trigger: ".o_form_view .o_field_widget[name='is_under_way'] .fa-spinner",
            run: () => {},
        },
        {
            content: "edit it",
            trigger: NAME,
            run: () => type("Half a na"),
        },
        {content: "the work ends", trigger: NAME, run: endWork},
        {
            content: "the page tells so",
            trigger: ".o_form_view:not(:has(.fa-spinner)) button[name='action_resume_sending']",
            run: () => {
                if (document.querySelector(NAME).value !== "Half a na") {
                    console.error("what was typed is gone");
                }
                type("rest_test");
            },
        },
    ],
});
