/** @odoo-module **/

import {onMounted, onWillUnmount} from "@odoo/owl";
import {ProgressBarField, progressBarField} from "@web/views/fields/progress_bar/progress_bar_field";
import {registry} from "@web/core/registry";

const SECONDS = 4;

// A progress bar that is read anew while there is something to watch, and nobody edits the record.
export class MarketplaceProgress extends ProgressBarField {
    setup() {
        super.setup();
        onMounted(() => {
            this.timer = setInterval(() => this.refresh(), SECONDS * 1000);
        });
        onWillUnmount(() => clearInterval(this.timer));
    }

    refresh() {
        const {record, name} = this.props;
        if (record.data[name] < 100 && !record.dirty && !document.hidden) {
            record.load();
        }
    }
}

registry.category("fields").add("marketplace_progress", {
    ...progressBarField,
    component: MarketplaceProgress,
});
