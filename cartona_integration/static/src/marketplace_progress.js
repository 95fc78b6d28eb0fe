/** @odoo-module **/

import {Component, useEffect, xml} from "@odoo/owl";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

const SECONDS = 4;
const RELATIONS = ["many2one", "many2one_reference", "one2many", "many2many", "reference", "properties"];

// While its field says so, what nobody can edit in the form is asked for anew: the figures, not the settings.
export class MarketplaceProgress extends Component {
    static template = xml`<i t-if="isUnderWay" class="fa fa-spinner fa-pulse" aria-hidden="true"/>`;
    static props = {...standardFieldProps};

    setup() {
        useEffect(
            (isUnderWay) => {
                const timer = isUnderWay && setInterval(() => this.refresh(), SECONDS * 1000);
                return () => clearInterval(timer);
            },
            () => [this.isUnderWay]
        );
    }

    get isUnderWay() {
        return this.props.record.data[this.props.name];
    }

    async refresh() {
        const {record} = this.props;
        if (document.hidden || this.isAsking) {
            return;
        }
        this.isAsking = true;
        try {
            const {orm} = record.model;
            const [values] = await orm.silent.read(record.resModel, [record.resId], this.figuresOf(record));
            // Not load(): that forgets what was edited meanwhile.
            record._applyValues(values);
        } catch {
            // A server that starts anew, say: the next time may be better.
        } finally {
            this.isAsking = false;
        }
    }

    figuresOf({activeFields, fields}) {
        return Object.keys(activeFields).filter((name) => {
            const {readonly, type} = fields[name];
            return readonly && !RELATIONS.includes(type);
        });
    }
}

registry.category("fields").add("marketplace_progress", {
    component: MarketplaceProgress,
    supportedTypes: ["boolean"],
});
