"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // An element with attributes and children. Text goes in as text nodes only, never as markup.
  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "path", "line", "text", "g", "circle", "rect"].includes(name);
    const element = svg
      ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const radios = (fieldset, names, chosen, onChange) => {
    const inputs = names.map((name, index) => {
      const input = make("input", { type: "radio", name: fieldset.id, value: index });
      input.checked = index === chosen;
      input.addEventListener("change", () => onChange(index));
      fieldset.append(make("label", {}, input, make("span", {}, name)));
      return input;
    });
    return (index) => { inputs[index].checked = true; };
  };

  /* Colours: the browser's wish, or one of two. */
  const theme = at("theme");
  theme.hidden = false;
  theme.addEventListener("change", (event) => {
    const wish = event.target.value;
    if (wish === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = wish;
  });

  /* Pictures */
  let showMoment = () => {};
  const onMoment = [];

  const startViewer = ({ moments, views }) => {
    const stage = at("stage"), divider = at("divider");
    const layers = [at("left"), at("right")];
    const images = layers.map((layer) => layer.querySelector("img"));
    const names = [at("left-name"), at("right-name")];
    const sources = [...document.querySelectorAll(".moment")].map((figure) =>
      Object.fromEntries([...figure.querySelectorAll("img")].map((img) => [img.dataset.picture, img])));
    const state = { moment: 0, view: 0, line: 50, zoom: 1, x: 0, y: 0 };

    const picture = (index, side) => {
      const key = views[state.view].sides[side];
      const source = key === undefined ? undefined : sources[state.moment][key];
      layers[index].hidden = names[index].hidden = source === undefined;
      if (source === undefined) return;
      images[index].src = source.src;
      images[index].alt = source.alt;
      names[index].textContent = views[state.view].names[side];
    };

    const show = () => {
      picture(0, 0);
      picture(1, 1);
      const single = views[state.view].sides.length < 2;
      stage.classList.toggle("single", single);
      divider.hidden = single;
      at("view-note").textContent = views[state.view].note;
      const moment = moments[state.moment];
      at("caption").replaceChildren(
        make("b", {}, moment.title), ` \u2002${moment.place} \u2002`, make("span", {}, moment.note));
      size();
    };

    const place = () => {
      const { width, scale } = moments[state.moment];
      const box = stage.getBoundingClientRect();
      state.x = clamp(state.x, box.width * (1 - state.zoom), 0);
      state.y = clamp(state.y, box.height * (1 - state.zoom), 0);
      for (const image of images)
        image.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
      const single = divider.hidden;
      layers[0].style.clipPath = single ? "none" : `inset(0 ${100 - state.line}% 0 0)`;
      layers[1].style.clipPath = single ? "none" : `inset(0 0 0 ${state.line}%)`;
      divider.style.left = `${state.line}%`;
      divider.setAttribute("aria-valuenow", Math.round(state.line));
      const [left, right] = views[state.view].names;
      divider.setAttribute("aria-valuetext", `${Math.round(state.line)} % ${left}, the rest ${right}`);
      names[0].classList.toggle("faded", !single && state.line < 12);
      names[1].classList.toggle("faded", !single && state.line > 88);
      const real = (state.zoom * box.width * scale) / width;
      at("scale").textContent = `${Math.round(real * 100)} %`;
      stage.classList.toggle("zoomed", state.zoom > 1);
      stage.classList.toggle("crisp", state.zoom > 1 && real / scale >= 3);
    };

    const size = () => {
      const { width, height } = moments[state.moment];
      const room = at("viewer").clientWidth;
      const wide = Math.min(room, (Math.max(280, window.innerHeight * 0.72) * width) / height);
      stage.style.width = `${wide}px`;
      stage.style.height = `${(wide * height) / width}px`;
      place();
    };

    const zoomTo = (zoom, at_x, at_y) => {
      const box = stage.getBoundingClientRect();
      const x = at_x ?? box.width / 2, y = at_y ?? box.height / 2;
      const next = clamp(zoom, 1, 32);
      state.x = x - ((x - state.x) * next) / state.zoom;
      state.y = y - ((y - state.y) * next) / state.zoom;
      state.zoom = next;
      place();
    };

    const moveLine = (percent) => { state.line = clamp(percent, 0, 100); place(); };

    const pickMoment = radios(at("moments"), moments.map((m) => m.title), 0, (i) => showMoment(i));
    const pickView = radios(at("views"), views.map((v) => v.title), 0, (i) => { state.view = i; show(); });
    showMoment = (index) => {
      state.moment = index;
      pickMoment(index);
      show();
      for (const tell of onMoment) tell(index);
    };

    divider.addEventListener("keydown", (event) => {
      if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
      const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
      const ends = { Home: 0, End: 100 };
      if (event.key in steps) moveLine(state.line + steps[event.key]);
      else if (event.key in ends) moveLine(ends[event.key]);
      else return;
      event.preventDefault();
    });

    const pan = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    at("viewer").addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const { key } = event;
      if (key === "[" || key === "]") {
        showMoment((state.moment + (key === "]" ? 1 : moments.length - 1)) % moments.length);
      } else if (key === "v" || key === "V") {
        state.view = (state.view + (key === "v" ? 1 : views.length - 1)) % views.length;
        pickView(state.view);
        show();
      } else if (key === "+" || key === "=") zoomTo(state.zoom * 2);
      else if (key === "-") zoomTo(state.zoom / 2);
      else if (key === "0") zoomTo(1);
      else if (event.shiftKey && key in pan && state.zoom > 1) {
        const box = stage.getBoundingClientRect();
        state.x += (pan[key][0] * box.width) / 8;
        state.y += (pan[key][1] * box.height) / 8;
        place();
      } else return;
      event.preventDefault();
    });

    at("in").addEventListener("click", () => zoomTo(state.zoom * 2));
    at("out").addEventListener("click", () => zoomTo(state.zoom / 2));
    at("fit").addEventListener("click", () => zoomTo(1));

    // With the whole picture in view a press anywhere moves the line; zoomed in, it moves the picture.
    let held = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const onLine = divider.contains(event.target);
      if (!onLine && divider.hidden && state.zoom === 1) return;
      held = { line: onLine || state.zoom === 1, x: event.clientX - state.x, y: event.clientY - state.y };
      stage.setPointerCapture(event.pointerId);
      stage.classList.toggle("held", !held.line);
      if (held.line) divider.focus({ preventScroll: true, focusVisible: false });
      event.preventDefault();
      drag(event);
    });
    const drag = (event) => {
      if (held === null) return;
      const box = stage.getBoundingClientRect();
      if (held.line) {
        moveLine(((event.clientX - box.left) / box.width) * 100);
      } else {
        state.x = event.clientX - held.x;
        state.y = event.clientY - held.y;
        place();
      }
    };
    const release = () => { held = null; stage.classList.remove("held"); };
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", release);
    stage.addEventListener("pointercancel", release);
    stage.addEventListener("dblclick", (event) => {
      const box = stage.getBoundingClientRect();
      zoomTo(state.zoom > 1 ? 1 : 4, event.clientX - box.left, event.clientY - box.top);
    });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      zoomTo(state.zoom * 2 ** (-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });

    at("viewer").hidden = false;
    new ResizeObserver(size).observe(at("viewer"));
    window.addEventListener("resize", size);
    show();
  };

  /* Curves */
  const HEIGHT = 190, TOP = 10, BOTTOM = 26, LEFT = 52, RIGHT = 14;

  const niceTicks = (low, high, most) => {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
    return { ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9), step / power === 2.5 ? 1 - Math.floor(Math.log10(step)) : 0) };
  };

  const startCurves = ({ title, frames, times_s, charts, marks }, number) => {
    const holder = make("div");
    if (title) holder.append(make("h3", { class: "clip" }, title));
    at("charts").append(holder);
    const drawn = [];
    let cursor = null, current = 0;

    const legend = make("div", { class: "legend" });
    holder.append(legend);
    // Of many curves the marked one is drawn last, on top, and named first.
    const { series, main } = charts[0];
    for (const { name, colour } of series.length > 2 && main > 0 ? [...series].reverse() : series)
      legend.append(make("span", { class: `swatch c${colour}` }, name));

    const first = frames[0], last = frames[frames.length - 1];
    const share = (frame) => (last === first ? 0.5 : (frame - first) / (last - first));

    const nearest = (frame) => {
      let low = 0, high = frames.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (frames[middle] <= frame) low = middle; else high = middle;
      }
      return frame - frames[low] <= frames[high] - frame ? low : high;
    };

    const build = (chart, index) => {
      const svg = make("svg", {
        role: "slider", tabindex: "0", "aria-label": `${chart.title}, frame by frame`,
        "aria-valuemin": first, "aria-valuemax": last, "aria-valuenow": first,
        "aria-valuetext": "no frame chosen", id: `chart-${number}-${index}`,
      });
      const readout = make("span", { class: "readout" });
      const unit = chart.unit ? ` (${chart.unit})` : "";
      holder.append(make("div", { class: "chart" },
        make("h3", {}, make("span", {}, chart.title + unit), readout), svg));

      const known = chart.series.flatMap((s) => s.values.filter((value) => value !== null));
      let low = Math.min(...known.slice(0, 1)), high = low;
      for (const value of known) { low = Math.min(low, value); high = Math.max(high, value); }
      const margin = (high - low) * 0.08 || Math.abs(high) * 0.02 || 1;
      low = chart.least !== null ? Math.max(chart.least, low - margin) : low - margin;
      high = chart.most !== null ? Math.min(chart.most, high + margin) : high + margin;
      if (high <= low) low = high - 1;
      const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);

      const item = { chart, svg, readout };
      item.draw = () => {
        const width = Math.max(240, svg.parentNode.clientWidth);
        const x = (frame) => LEFT + share(frame) * (width - LEFT - RIGHT);
        item.x = x;
        item.y = y;
        item.width = width;
        svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
        svg.setAttribute("height", HEIGHT);
        svg.replaceChildren();
        const { ticks, digits } = niceTicks(low, high, 5);
        for (const tick of ticks) {
          svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }));
          svg.append(make("text", { x: LEFT - 10, y: y(tick) + 4, "text-anchor": "end" }, tick.toFixed(digits)));
        }
        const base = HEIGHT - BOTTOM;
        svg.append(make("line", { class: "base", x1: LEFT, x2: width - RIGHT, y1: base, y2: base }));
        if (last > first) {
          const { ticks: steps } = niceTicks(first, last, Math.max(2, Math.floor(width / 130)));
          for (const tick of steps.filter(Number.isInteger))
            svg.append(make("text", { x: x(tick), y: base + 18, "text-anchor": "middle" }, String(tick)));
        } else svg.append(make("text", { x: x(first), y: base + 18, "text-anchor": "middle" }, String(first)));
        for (const { values, colour } of chart.series) {
          let path = "", open = false;
          values.forEach((value, i) => {
            if (value === null) { open = false; return; }
            const alone = !open && (values[i + 1] ?? null) === null;
            path += `${open ? "L" : "M"}${x(frames[i]).toFixed(1)} ${y(value).toFixed(1)}${alone ? "h.1" : ""}`;
            open = true;
          });
          svg.append(make("path", { class: `curve c${colour}`, d: path }));
        }
        const { values, colour } = chart.series[chart.main];
        for (const [frame, i] of marks) {
          const value = values[nearest(frame)];
          if (value === null || frame < first || frame > last) continue;
          const dot = make("circle", {
            class: `shown c${colour}${i === current ? " current" : ""}`, cx: x(frame), cy: y(value), r: 4.5 });
          svg.append(dot);
        }
        item.cursor = make("g", { class: "cursor" });
        svg.append(item.cursor);
        mark(item);
      };

      const frameAt = (event) => {
        const box = svg.getBoundingClientRect();
        const place = ((event.clientX - box.left) / box.width) * item.width;
        return first + ((place - LEFT) / (item.width - LEFT - RIGHT)) * (last - first);
      };
      svg.addEventListener("pointermove", (event) => move(nearest(clamp(frameAt(event), first, last))));
      svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) move(null); });
      svg.addEventListener("focus", () => { if (cursor === null && svg.matches(":focus-visible")) move(0); });
      svg.addEventListener("blur", () => move(null));
      svg.addEventListener("click", () => { if (cursor !== null) openNearest(frames[cursor]); });
      svg.addEventListener("keydown", (event) => {
        if (event.altKey || event.ctrlKey || event.metaKey) return;
        const from = cursor ?? 0, large = Math.max(1, Math.round(frames.length / 20));
        const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -large, PageUp: large };
        if (event.key in steps) move(clamp(from + steps[event.key], 0, frames.length - 1));
        else if (event.key === "Home") move(0);
        else if (event.key === "End") move(frames.length - 1);
        else if (event.key === "Enter") openNearest(frames[from]);
        else if (event.key === "Escape") move(null);
        else return;
        event.preventDefault();
      });
      return item;
    };

    // The picture that is nearest to a frame, if there are pictures.
    const openNearest = (frame) => {
      if (!marks.length) return;
      const distances = marks.map(([other]) => Math.abs(other - frame));
      showMoment(marks[distances.indexOf(Math.min(...distances))][1]);
    };

    const text = (chart, value) => (value === null ? chart.missing : value.toFixed(chart.digits));

    const mark = (item) => {
      const { chart, svg, readout } = item;
      item.cursor.replaceChildren();
      readout.replaceChildren();
      if (cursor === null) return;
      const frame = frames[cursor], x = item.x(frame);
      item.cursor.append(make("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
      readout.append(make("span", {}, `frame ${frame}${times_s ? `, ${times_s[cursor].toFixed(2)} s` : ""}`));
      for (const { name, values, colour } of chart.series) {
        const value = values[cursor];
        if (value !== null)
          item.cursor.append(make("circle", { class: `c${colour}`, cx: x, cy: item.y(value), r: 4 }));
        readout.append(make("b", { class: `c${colour}`, title: name }, text(chart, value)));
      }
      svg.setAttribute("aria-valuenow", frame);
      svg.setAttribute("aria-valuetext", `frame ${frame}: ` +
        chart.series.map(({ name, values }) => `${name} ${text(chart, values[cursor])} ${chart.unit}`).join(", "));
    };
    const move = (index) => {
      if (index === cursor) return;
      cursor = index;
      drawn.forEach(mark);
    };

    charts.forEach((chart, index) => drawn.push(build(chart, index)));
    const draw = () => drawn.forEach((item) => item.draw());
    onMoment.push((index) => { current = index; draw(); });
    new ResizeObserver(draw).observe(holder);
    draw();
  };

  if (data.pictures) startViewer(data.pictures);
  data.curves.forEach(startCurves);
})();
