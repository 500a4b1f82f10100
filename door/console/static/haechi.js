// What makes pages live: they work without it.
"use strict";
(() => {
  // Times in the reader's own zone; the UTC text stays as the title.
  const localTimes = (root) => {
    for (const t of root.querySelectorAll("time[datetime]:not([title])")) {
      const d = new Date(t.dateTime);
      if (isNaN(d)) continue;
      t.title = t.textContent;
      const ago = (Date.now() - d) / 1000;
      const rtf = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
      const units = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [604800, "day", 86400]];
      const unit = units.find(([most]) => Math.abs(ago) < most);
      t.textContent = unit ? rtf.format(-Math.round(ago / unit[2]), unit[1]) : d.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
    }
  };
  localTimes(document);

  // When something happened, the page fetches itself and takes over its live parts.
  const copies = (within) => { for (const button of within.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard; };
  copies(document);
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.href = answer.url; return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const now of document.querySelectorAll("[data-live]")) {
        const next = now.id && page.getElementById(now.id);
        if (!next || next.innerHTML === now.dataset.was) continue;
        const was = next.innerHTML;
        if (now.querySelector("input:checked, input:focus, textarea:focus, select:focus")) continue; // what is under way is not swept away
        const open = [...now.querySelectorAll("details[open]")].map((d) => d.id).filter(Boolean);
        const focused = now.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        now.replaceChildren(...next.childNodes);
        if (focused) [...now.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus({ preventScroll: true });
        now.dataset.was = was;
        for (const id of open) document.getElementById(id)?.setAttribute("open", "");
        localTimes(now);
        copies(now);
        mark();
      }
      document.title = page.title;
    } finally {
      busy = false;
      if (again) { again = false; setTimeout(refresh, 400 + 3 * (performance.now() - began)); } // a slow page is not asked for all the time
    }
  };
  if (document.querySelector("[data-live]") && window.EventSource) {
    let seen = document.body.dataset.head; // what happened before the page was made it shows already
    let live = null;
    const listen = () => {
      if (live || document.hidden) return;
      live = new EventSource("/live");
      live.addEventListener("change", (e) => {
        if (seen !== undefined && seen !== e.lastEventId) refresh();
        seen = e.lastEventId;
      });
    };
    const rest = () => { live?.close(); live = null; };
    // A browser has few connections to a server: pages that nobody looks at give theirs back.
    document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
    addEventListener("pagehide", rest);
    addEventListener("pageshow", listen);
    listen();
  }

  // A log: a window of lines that moves over a million of them. The server has the lines; the page holds a few thousand.
  const most = 3000, step = 500;
  for (const pane of document.querySelectorAll("[data-log]")) {
    const box = pane.querySelector(".log"), place = pane.querySelector(".log-place"), slide = place.querySelector("input"), find = pane.querySelector(".log-find"), steps = find.querySelector("[data-steps]");
    const data = pane.dataset, folded = new Map(), heads = [];
    let first = +data.first, next = +data.next, total = +data.total, ended = "ended" in data, follow = !ended, busy = false, hits = [], hit = -1, shown = 0, chosen = null;
    for (const b of pane.querySelectorAll(".no-script")) b.hidden = true;
    place.hidden = false;
    const address = (what, more) => data.log + what + "?" + new URLSearchParams({ ...(data.of ? { of: data.of } : {}), ...more });
    const ask = async (from, count) => {
      const answer = await fetch(address("/lines", { from, count, heads: heads.length }), { credentials: "same-origin" });
      if (!answer.ok) throw new Error("the log cannot be read");
      const w = await answer.json();
      heads.push(...w.heads);
      total = w.total;
      ended = w.ended;
      pane.querySelector(".log-empty").hidden = total > 0;
      pane.querySelector(".where").textContent = pane.querySelector(".where").textContent.replace(/[\d,]+/, total.toLocaleString("en"));
      return w;
    };
    const line = (n) => box.querySelector("#L" + n);
    const number = (row) => +row.id.slice(1);
    const endOf = (n) => { // of what is below the head on line n
      const i = heads.findIndex((h) => h[0] === n);
      for (let j = i + 1; i >= 0 && j < heads.length; j++) if (heads[j][1] <= heads[i][1]) return heads[j][0];
      return Infinity;
    };
    // The first line from n on, or before it, that is not folded away.
    const fold = (n) => [...folded.keys()].filter((h) => n > h && n < endOf(h)).sort((a, b) => a - b)[0];
    const dress = () => {
      for (const row of box.querySelectorAll(".head")) {
        const a = row.querySelector("button") ?? row.insertBefore(document.createElement("button"), row.querySelector("span"));
        a.type = "button";
        a.className = "fold";
        a.textContent = folded.has(number(row)) ? "▸" : "▾";
        a.setAttribute("aria-expanded", !folded.has(number(row)));
        a.setAttribute("aria-label", row.querySelector("span").textContent);
      }
      for (const row of box.querySelectorAll(".hit, .chosen")) row.classList.remove("hit", "chosen");
      for (const n of hits) line(n)?.classList.add("hit");
      if (chosen) for (let n = chosen[0]; n <= Math.min(chosen[1], chosen[0] + most); n++) line(n)?.classList.add("chosen");
      slide.max = total;
      slide.value = first;
    };
    const trim = (atStart) => {
      const extra = box.childElementCount - most;
      if (extra <= 0) return;
      const was = box.scrollHeight;
      for (let i = 0; i < extra; i++) (atStart ? box.firstElementChild : box.lastElementChild).remove();
      if (atStart) { box.scrollTop -= was - box.scrollHeight; first = number(box.firstElementChild); } else next = number(box.lastElementChild) + 1;
    };
    const after = async () => {
      const h = fold(next);
      if (h !== undefined) next = endOf(h);
      if (next > total) return false;
      const stop = [...folded.keys()].filter((f) => f >= next).sort((a, b) => a - b)[0] ?? Infinity;
      const w = await ask(next, Math.min(step, stop - next + 1));
      if (w.next <= next) return false;
      box.insertAdjacentHTML("beforeend", w.html);
      next = w.next;
      trim(true);
      return true;
    };
    const before = async () => {
      let to = first; // the lines before it
      const h = fold(to - 1);
      if (h !== undefined) to = h + 1;
      if (to <= 1) return false;
      const ends = [...folded.keys()].map(endOf).filter((e) => e <= to - 1);
      let from = Math.max(1, to - step, h !== undefined ? h : 1, ...ends);
      let w = await ask(from, to - from);
      while (w.next < to) { // they are long: fewer of them
        from = to - Math.max(1, w.next - from);
        w = await ask(from, to - from);
      }
      const was = box.scrollHeight, top = box.scrollTop;
      box.insertAdjacentHTML("afterbegin", w.html);
      box.scrollTop = top + box.scrollHeight - was;
      first = from;
      trim(false);
      return true;
    };
    const show = async (n, to) => { // begins anew around a line
      n = Math.max(1, Math.min(n, Math.max(total, 1)));
      for (const h of [...folded.keys()]) if (n > h && n < endOf(h)) folded.delete(h);
      const w = await ask(Math.max(1, n - (to === "end" ? step - 1 : 100)), step);
      box.innerHTML = w.html;
      first = w.first;
      next = w.next;
      for (const h of folded.keys()) hide(h);
      dress();
      if (to === "end") box.scrollTop = box.scrollHeight;
      else { const row = line(n); if (row) box.scrollTop = row.offsetTop - box.offsetTop - box.clientHeight / 3; }
    };
    const hide = (h) => {
      const end = endOf(h);
      for (let row = line(h)?.nextElementSibling; row && number(row) < end; ) { const gone = row; row = row.nextElementSibling; gone.remove(); }
      if (next > h && next < end) next = Math.min(end, total + 1);
    };
    let then = null; // what was asked for meanwhile: the last word counts
    const alone = async (what, idle) => { // one thing at a time
      if (busy) { if (!idle) then = what; return; }
      busy = true;
      try { await what(); dress(); } catch (e) { if (e.name !== "TypeError" && e.name !== "AbortError") console.debug(e); } finally { busy = false; }
      if (then) { const next = then; then = null; await alone(next); }
    };
    const look = () => alone(async () => {
      for (let i = 0; i < 8; i++) {
        if (box.scrollTop + box.clientHeight > box.scrollHeight - 800 && await after()) continue;
        if (box.scrollTop < 800 && first > 1 && await before()) continue;
        break;
      }
    }, true);
    const atEnd = () => next > total && box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    let waits = false;
    box.addEventListener("scroll", () => {
      if (waits) return;
      waits = true;
      requestAnimationFrame(() => { waits = false; if (!busy) follow = !ended && atEnd(); look(); });
    });
    box.addEventListener("click", (e) => {
      const row = e.target.closest(".line");
      if (e.target.matches(".fold")) {
        const n = number(row);
        if (folded.delete(n)) alone(() => show(n));
        else { folded.set(n, true); alone(async () => { if (!heads.length) await ask(1, 1); hide(n); }).then(look); }
      } else if (e.target.matches(".line > a")) {
        e.preventDefault();
        const n = number(row);
        chosen = e.shiftKey && chosen ? [Math.min(chosen[0], n), Math.max(chosen[0], n)] : [n, n];
        history.replaceState(null, "", "#L" + chosen[0] + (chosen[1] > chosen[0] ? "-L" + chosen[1] : ""));
        dress();
      }
    });
    const fromHash = () => {
      const m = /^#L(\d+)(?:-L(\d+))?$/.exec(location.hash);
      if (!m) return;
      chosen = [+m[1], +(m[2] ?? m[1])];
      follow = false;
      alone(() => show(chosen[0])).then(() => pane.scrollIntoView({ block: "nearest" }));
    };
    addEventListener("hashchange", fromHash);
    pane.addEventListener("click", (e) => {
      const to = e.target.closest("[data-line]");
      if (to) { e.preventDefault(); chosen = null; history.replaceState(null, "", "#L" + to.dataset.line); fromHash(); }
      switch (e.target.dataset.to) {
        case "first": follow = false; alone(() => show(1)); break;
        case "last": follow = !ended; alone(() => show(total, "end")); break;
      }
      if (e.target.dataset.step && hits.length) {
        hit = (hit + +e.target.dataset.step + hits.length) % hits.length;
        step_to();
      }
    });
    const step_to = () => {
      steps.querySelector("output").textContent = hit + 1 + " / " + hits.length + (find.dataset.more ? "+" : "");
      follow = false;
      alone(async () => { await show(hits[hit]); line(hits[hit])?.classList.add("here"); });
    };
    let sliding;
    slide.addEventListener("input", () => { follow = false; clearTimeout(sliding); sliding = setTimeout(() => alone(() => show(+slide.value)), 60); });
    let sought = null;
    find.addEventListener("submit", async (e) => {
      e.preventDefault();
      const text = find.elements.find.value, n = +find.elements.line.value;
      if (n) { chosen = [n, n]; history.replaceState(null, "", "#L" + n); find.elements.line.value = ""; fromHash(); return; }
      pane.querySelector(".log-hits")?.remove();
      if (!text) { hits = []; sought = null; steps.hidden = true; dress(); return; }
      if (text === sought && hits.length) { hit = (hit + 1) % hits.length; step_to(); return; }
      const answer = await fetch(address("/find", { find: text }), { credentials: "same-origin" });
      if (!answer.ok) return;
      const found = await answer.json();
      sought = text;
      hits = found.lines;
      if (found.more) find.dataset.more = "1"; else delete find.dataset.more;
      steps.hidden = false;
      hit = hits.length ? 0 : -1;
      if (hits.length) step_to(); else { steps.querySelector("output").textContent = "0"; dress(); }
    });
    const soon = () => { // steps move on without an event of their own
      clearTimeout(shown);
      shown = setTimeout(refresh, 1500);
    };
    const grew = () => {
      slide.max = total;
      if (follow) alone(async () => {
        if (total - next >= step) await show(total, "end");
        else while (next <= total && await after());
        box.scrollTop = box.scrollHeight;
      }).then(() => { if (follow && next <= total) setTimeout(grew, 50); });
      else look();
    };
    if (location.hash) fromHash();
    else alone(async () => { await ask(1, 1); if (follow || first > 1) box.scrollTop = box.scrollHeight; });
    if (!ended && window.EventSource) {
      const stream = new EventSource(address("", {}));
      stream.addEventListener("lines", (e) => { total = Math.max(total, +JSON.parse(e.data)); grew(); soon(); });
      stream.addEventListener("end", (e) => { stream.close(); total = Math.max(total, +JSON.parse(e.data)); grew(); ended = true; clearTimeout(shown); refresh(); });
      addEventListener("pagehide", () => stream.close());
    }
  }

  // Keys: / filters, j and k walk, Enter opens, x chooses, ? tells.
  let at = -1;
  const rows = () => [...document.querySelectorAll("tr.row")];
  const mark = () => rows().forEach((r, i) => r.classList.toggle("at", i === at));
  const walk = (by) => {
    const all = rows();
    if (!all.length) return;
    at = Math.max(0, Math.min(all.length - 1, at + by));
    mark();
    all[at].scrollIntoView({ block: "nearest" });
  };
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.target.matches("input:not([type=checkbox]), textarea, select, button") && e.key !== "Escape") return;
    const here = rows()[at];
    switch (e.key) {
      case "/": { const f = document.querySelector("input[type=search]"); if (f) { f.focus(); f.select(); e.preventDefault(); } break; }
      case "j": walk(1); break;
      case "k": walk(-1); break;
      case "Enter": if (!e.target.matches("a, summary, input")) here?.querySelector("a")?.click(); break;
      case "x": { const box = here?.querySelector("input[type=checkbox]"); if (box) { box.checked = !box.checked; box.dispatchEvent(new Event("change", { bubbles: true })); } break; }
      case "g": location.href = "/"; break;
      case "f": location.href = "/findings"; break;
      case "?": document.querySelector("#keys")?.showModal?.(); break;
      case "Escape": document.activeElement?.blur(); break;
    }
  });

  // What is to be typed elsewhere is copied.
  document.addEventListener("click", (e) => {
    const from = e.target.closest?.("[data-copy]")?.dataset.copy;
    if (from) navigator.clipboard.writeText(document.getElementById(from).textContent);
  });

  // Choosing all, and how many are chosen.
  document.addEventListener("change", (e) => {
    if (e.target.matches("input[data-all]")) {
      for (const box of document.querySelectorAll("input[name=ref]")) box.checked = e.target.checked;
    }
    const chosen = document.querySelectorAll("input[name=ref]:checked").length;
    for (const n of document.querySelectorAll("[data-chosen]")) n.textContent = chosen;
  });
  // Files that are dropped on a form are chosen there.
  for (const zone of document.querySelectorAll("form[data-drop]")) {
    const input = zone.querySelector("input[type=file]"), label = input.closest(".drop");
    for (const name of ["dragenter", "dragover"]) zone.addEventListener(name, (e) => { e.preventDefault(); label.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => label.classList.remove("over"));
    zone.addEventListener("drop", (e) => {
      if (!e.dataTransfer.files.length) return;
      e.preventDefault();
      input.files = e.dataTransfer.files;
    });
  }
  // What is typed is answered while it is typed: by the same form, into the part of the page that it names.
  for (const form of document.querySelectorAll("form[data-typed]")) {
    let timer, asked;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        asked?.abort();
        asked = new AbortController();
        try {
          const got = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: asked.signal });
          if (!got.ok) return;
          const page = new DOMParser().parseFromString(await got.text(), "text/html");
          const now = document.getElementById(form.dataset.typed), next = page.getElementById(form.dataset.typed);
          for (const d of now.querySelectorAll("details[open]")) next.querySelector("#" + d.id)?.setAttribute("open", "");
          now.replaceWith(next);
        } catch (e) { if (e.name !== "AbortError") throw e; }
      }, 300);
    });
  }
  // What cannot be undone is asked twice.
  document.addEventListener("submit", (e) => {
    const ask = e.submitter?.dataset.confirm;
    if (ask && !confirm(ask)) e.preventDefault();
  });
})();
