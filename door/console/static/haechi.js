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

  // The log of a run comes as it is written.
  for (const log of document.querySelectorAll("pre[data-follow]")) {
    const stream = new EventSource(log.dataset.follow);
    let end = true, waiting = false;
    log.scrollTop = log.scrollHeight;
    const soon = () => { // steps move on without an event of their own
      if (waiting) return;
      waiting = true;
      setTimeout(() => { waiting = false; refresh(); }, 1500);
    };
    log.addEventListener("scroll", () => { end = log.scrollHeight - log.scrollTop - log.clientHeight < 40; });
    stream.addEventListener("text", (e) => {
      log.append(JSON.parse(e.data));
      if (end) log.scrollTop = log.scrollHeight;
      soon();
    });
    stream.addEventListener("end", () => { stream.close(); refresh(); });
    addEventListener("pagehide", () => stream.close());
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
