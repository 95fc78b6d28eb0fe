// Keeps the shop's figures live: asks for its changing parts and takes over what differs, field by field,
// so that what is typed, selected or focused stays.
"use strict";

const PAUSE = 1000;
const HIGHLIGHT = 3000;
const live = document.getElementById("live");

function mark(field) {
    clearTimeout(field.timer);
    field.classList.remove("changed");
    void field.offsetWidth; // lets the animation start anew
    field.classList.add("changed");
    field.timer = setTimeout(() => field.classList.remove("changed"), HIGHLIGHT);
}

function mergeRow(row, fresh) {
    for (const { name, value } of fresh.attributes) {
        row.setAttribute(name, value);
    }
    for (const field of row.querySelectorAll("[data-field]")) {
        const other = fresh.querySelector(`[data-field="${field.dataset.field}"]`);
        if (other && field.innerHTML !== other.innerHTML) {
            field.replaceChildren(...other.childNodes);
            if ("watch" in field.dataset) {
                mark(field);
            }
        }
    }
    const controls = fresh.querySelectorAll(".order input, .order button");
    row.querySelectorAll(".order input, .order button").forEach((control, index) => {
        control.disabled = controls[index].disabled;
    });
}

function mergeRows(list, fresh) {
    const known = new Map([...list.children].map((row) => [row.dataset.key, row]));
    let next = list.firstElementChild;
    for (const other of [...fresh.children]) {
        const row = known.get(other.dataset.key);
        known.delete(other.dataset.key);
        if (row) {
            mergeRow(row, other);
        }
        if (row && row === next) {
            next = next.nextElementSibling;
        } else {
            list.insertBefore(row || other, next);
        }
    }
    known.forEach((row) => row.remove());
}

function tell(state) {
    live.dataset.live = state;
    live.textContent = live.dataset[state];
}

async function refresh() {
    try {
        const answer = await fetch(live.dataset.url, { cache: "no-store", signal: AbortSignal.timeout(10000) });
        if (!answer.ok) {
            throw new Error(answer.status);
        }
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const id of ["listings", "orders"]) {
            mergeRows(document.getElementById(id), fresh.getElementById(id));
        }
        tell("on");
    } catch {
        tell("lost");
    }
    setTimeout(refresh, PAUSE);
}

setTimeout(refresh, PAUSE);
