// The page's only script. Everything that a signer wrote comes from the JSON beside
// it and is put into text nodes; nothing here makes markup of a string.
"use strict";
(function () {
	const data = JSON.parse(document.getElementById("data").textContent);
	const picture = document.getElementById("picture");
	const view = document.getElementById("view");
	const panel = document.getElementById("panel");
	const evidence = document.getElementById("evidence");
	const find = document.getElementById("find");
	const found = document.getElementById("found");
	const boxes = picture.viewBox.baseVal;
	const full = { width: boxes.width, height: boxes.height };
	const nodes = data.nodes.map((n, i) => document.getElementById("n" + i));
	const edges = data.edges.map((e, i) => document.getElementById("e" + i));
	const root = Math.max(0, data.nodes.findIndex((n) => n.root));
	document.body.classList.add("live");
	picture.removeAttribute("viewBox");
	picture.removeAttribute("width");
	picture.removeAttribute("height");

	// Moving and zooming: the view's transform is the only state.
	const least = 0.02, most = 6, step = 1.25, readable = 0.5;
	let scale = 1, left = 0, top = 0;

	function show() {
		view.setAttribute("transform", "translate(" + left.toFixed(2) + " " + top.toFixed(2) + ") scale(" + scale.toFixed(4) + ")");
	}

	function zoom(factor, x, y) {
		const next = Math.min(most, Math.max(least, scale * factor));
		left = x - (x - left) * next / scale;
		top = y - (y - top) * next / scale;
		scale = next;
		show();
	}

	function zoomMiddle(factor) {
		zoom(factor, picture.clientWidth / 2, picture.clientHeight / 2);
	}

	function fit() {
		const room = 24, w = picture.clientWidth, h = picture.clientHeight;
		scale = Math.min(1.2, Math.max(least, Math.min((w - 2 * room) / full.width, (h - 2 * room) / full.height)));
		left = (w - full.width * scale) / 2;
		top = (h - full.height * scale) / 2;
		show();
	}

	// center moves a node into the middle, large enough to read.
	function center(node) {
		const place = node.transform.baseVal.consolidate().matrix, size = node.getBBox();
		scale = Math.max(scale, readable);
		left = picture.clientWidth / 2 - (place.e + size.width / 2) * scale;
		top = picture.clientHeight / 2 - (place.f + size.height / 2) * scale;
		show();
	}

	picture.addEventListener("wheel", function (event) {
		event.preventDefault();
		const at = picture.getBoundingClientRect();
		zoom(event.deltaY < 0 ? step : 1 / step, event.clientX - at.left, event.clientY - at.top);
	}, { passive: false });

	let drag = null, dragged = false;
	picture.addEventListener("pointerdown", function (event) {
		if (event.button === 0) {
			drag = { x: event.clientX - left, y: event.clientY - top, fromX: event.clientX, fromY: event.clientY };
			dragged = false;
		}
	});
	window.addEventListener("pointermove", function (event) {
		if (drag === null) {
			return;
		}
		dragged = dragged || Math.hypot(event.clientX - drag.fromX, event.clientY - drag.fromY) > 4;
		if (dragged) {
			left = event.clientX - drag.x;
			top = event.clientY - drag.y;
			show();
		}
	});
	window.addEventListener("pointerup", function () { drag = null; });
	window.addEventListener("pointercancel", function () { drag = null; });

	picture.addEventListener("keydown", function (event) {
		if (event.ctrlKey || event.altKey || event.metaKey) {
			return;
		}
		const far = 60;
		switch (event.key) {
		case "+": case "=": zoomMiddle(step); break;
		case "-": zoomMiddle(1 / step); break;
		case "0": fit(); break;
		case "ArrowLeft": left += far; show(); break;
		case "ArrowRight": left -= far; show(); break;
		case "ArrowUp": top += far; show(); break;
		case "ArrowDown": top -= far; show(); break;
		case "Escape": overview(); break;
		case "Enter": case " ":
			if (!choose(event.target)) {
				return;
			}
			break;
		default: return;
		}
		event.preventDefault();
	});
	picture.addEventListener("click", function (event) {
		if (!dragged) {
			choose(event.target);
		}
	});

	// The panel. make is the only way in which it gets content.
	function make(tag, className, text) {
		const e = document.createElement(tag);
		if (className) {
			e.className = className;
		}
		if (text !== undefined) {
			e.textContent = text;
		}
		return e;
	}

	function add(parent, tag, className, text) {
		return parent.appendChild(make(tag, className, text));
	}

	function pair(list, name, value, className) {
		if (value !== "") {
			add(list, "dt", "", name);
			add(list, "dd", className, value);
		}
	}

	function label(n) {
		return n.name || n.digest.slice(0, 19);
	}

	function recordInto(parent, r) {
		const box = add(parent, "article");
		add(box, "h4", "", data.steps[r.step].name + " by " + r.signer);
		if (r.problem) {
			add(box, "p", "bad", "authentic, and unreadable: " + r.problem);
		}
		const list = add(box, "dl");
		r.facts.forEach((f) => pair(list, f.name, f.value));
		pair(list, "type", r.type);
		pair(list, "claimed", r.claimed || "no time");
		pair(list, "seen", r.seen || "nobody authenticated when");
		r.certificates.forEach((f) => pair(list, "certificate: " + f.name, f.value));
		if (r.counts !== null) {
			pair(list, "counts for", r.counts.join(", ") || "no step of the policy");
		}
		pair(list, "about", r.about, "digest");
		pair(list, "payload", r.payload, "digest");
		pair(list, "credential", r.credential, "digest");
	}

	function recordsInto(parent, records) {
		add(parent, "h3", "", "Evidence (" + records.length + ")");
		if (records.length === 0) {
			add(parent, "p", "quiet", "No trusted record is about this.");
		}
		records.forEach((r) => recordInto(parent, data.records[r]));
	}

	function link(parent, text, target, index) {
		const b = add(add(parent, "li"), "button", "", text);
		b.type = "button";
		b.addEventListener("click", function () {
			target === nodes ? chooseNode(index) : chooseEdge(index);
			center(target === nodes ? nodes[index] : nodes[data.edges[index].product]);
		});
	}

	function linksInto(parent, title, list) {
		if (list.length > 0) {
			add(parent, "h3", "", title);
			const ul = add(parent, "ul");
			list.forEach((l) => link(ul, l.text, edges, l.index));
		}
	}

	function open(element) {
		picture.querySelectorAll(".chosen").forEach((e) => e.classList.remove("chosen"));
		if (element) {
			element.classList.add("chosen");
		}
		evidence.replaceChildren();
		panel.scrollTop = 0;
	}

	function chooseNode(i) {
		const n = data.nodes[i];
		open(nodes[i]);
		add(evidence, "h2", "", label(n));
		add(evidence, "p", "kind", n.kind + (n.root ? ", the artifact in question" : ""));
		add(evidence, "p", "digest", n.digest);
		if (n.size) {
			add(evidence, "p", "quiet", n.size);
		}
		if (n.ends) {
			add(evidence, "h3", "", n.ends);
			if (n.detail) {
				add(evidence, "p", "quiet", n.detail);
			}
		}
		n.gaps.forEach((g) => add(evidence, "p", "bad", "gap: " + g + ": evidence may be missing"));
		recordsInto(evidence, n.records);
		const made = [], used = [];
		data.edges.forEach(function (e, index) {
			const how = " (" + [e.role, data.steps[e.step].name].filter((s) => s).join(", ") + ")";
			if (e.product === i) {
				made.push({ index: index, text: e.verb + " " + label(data.nodes[e.input]) + how });
			}
			if (e.input === i) {
				used.push({ index: index, text: label(data.nodes[e.product]) + how });
			}
		});
		linksInto(evidence, "Came from", made);
		linksInto(evidence, "Went into", used);
		if (n.root) {
			contradictionsInto(evidence);
		}
	}

	function chooseEdge(i) {
		const e = data.edges[i];
		open(edges[i]);
		add(evidence, "h2", "", e.role || data.steps[e.step].name);
		add(evidence, "p", "", label(data.nodes[e.product]) + " was " + e.verb + " " + label(data.nodes[e.input]));
		add(evidence, "p", "quiet", "step " + data.steps[e.step].name);
		const ul = add(evidence, "ul");
		link(ul, "product: " + label(data.nodes[e.product]), nodes, e.product);
		link(ul, "input: " + label(data.nodes[e.input]), nodes, e.input);
		recordsInto(evidence, e.records);
	}

	function contradictionsInto(parent) {
		[false, true].forEach(function (unsure) {
			const some = data.contradictions.filter((c) => c.open === unsure);
			if (some.length > 0) {
				add(parent, "h3", "", unsure ? "Claims that nothing signed bears out" : "Contradictions");
			}
			some.forEach((c) => contradictionInto(parent, c));
		});
	}

	function contradictionInto(parent, c) {
		const box = add(parent, "article");
		add(box, "h4", c.open ? "" : "bad", c.why);
		const list = add(box, "dl");
		pair(list, "source", c.source);
		pair(list, "field", c.field);
		pair(list, "it says", c.claimed);
		pair(list, "signed is", c.signed);
		c.records.forEach((r) => pair(list, "record", r, "digest"));
	}

	function overview() {
		open(null);
		add(evidence, "h2", "", "Overview");
		add(evidence, "p", "quiet", "Choose an artifact or an arrow to read the evidence behind it.");
		contradictionsInto(evidence);
		if (data.gaps.length > 0) {
			add(evidence, "h3", "", "Gaps");
			add(evidence, "p", "", "What could not be looked at; evidence may be missing there.");
		}
		data.gaps.forEach(function (g) {
			add(evidence, "p", "bad", g.code);
			add(evidence, "p", "digest", g.artifact || "at no single artifact");
		});
		const ends = data.nodes.map((n, i) => ({ n: n, i: i })).filter((x) => x.n.ends);
		if (ends.length > 0) {
			add(evidence, "h3", "", "Frontier");
			const ul = add(evidence, "ul");
			ends.forEach((x) => link(ul, label(x.n) + ": " + x.n.ends, nodes, x.i));
		}
	}

	function choose(target) {
		const part = target.closest(".node, .edge");
		if (part === null) {
			return false;
		}
		const i = Number(part.id.slice(1));
		part.id[0] === "n" ? chooseNode(i) : chooseEdge(i);
		return true;
	}

	// Filtering: arrows of a step that is not wanted go, and so does whatever is not
	// connected with the artifact in question any more.
	const wanted = Array.from(document.querySelectorAll("#controls input[data-step]"));
	function filter() {
		const on = new Set(wanted.filter((w) => w.checked).map((w) => Number(w.dataset.step)));
		const inputs = nodes.map(() => []);
		data.edges.forEach((e) => { if (on.has(e.step)) { inputs[e.product].push(e.input); } });
		const reached = new Set([root]), queue = [root];
		while (queue.length > 0) {
			inputs[queue.pop()].forEach((i) => { if (!reached.has(i)) { reached.add(i); queue.push(i); } });
		}
		nodes.forEach((n, i) => n.classList.toggle("away", !reached.has(i)));
		data.edges.forEach((e, i) => edges[i].classList.toggle("away", !(on.has(e.step) && reached.has(e.product))));
		picture.querySelectorAll("[data-step]").forEach((r) => r.classList.toggle("dim", !on.has(Number(r.dataset.step))));
		search();
	}
	wanted.forEach((w) => w.addEventListener("change", filter));

	// Searching: what matches stays bright; Enter goes to the next.
	const texts = data.nodes.map((n) => [n.name, n.digest, n.kind, n.ends, n.detail].concat(n.gaps, n.records.map(function (i) {
		const r = data.records[i];
		return [data.steps[r.step].name, r.signer, r.payload, r.credential, r.type].concat(r.facts.map((f) => f.name + " " + f.value)).join("\n");
	})).join("\n").toLowerCase());
	let hits = [], hit = -1;
	function search() {
		const text = find.value.trim().toLowerCase();
		hits = [];
		hit = -1;
		nodes.forEach(function (n, i) {
			const matches = text === "" || texts[i].includes(text);
			n.classList.toggle("dim", !matches);
			if (text !== "" && matches && !n.classList.contains("away")) {
				hits.push(i);
			}
		});
		edges.forEach((e) => e.classList.toggle("dim", text !== ""));
		found.textContent = text === "" ? "" : hits.length === 0 ? "nothing found" : hits.length + " found";
	}
	find.addEventListener("input", search);
	find.addEventListener("keydown", function (event) {
		if (event.key === "Enter" && hits.length > 0) {
			hit = (hit + 1) % hits.length;
			chooseNode(hits[hit]);
			center(nodes[hits[hit]]);
			found.textContent = (hit + 1) + " of " + hits.length;
		}
	});

	document.getElementById("in").addEventListener("click", () => zoomMiddle(step));
	document.getElementById("out").addEventListener("click", () => zoomMiddle(1 / step));
	document.getElementById("fit").addEventListener("click", fit);
	document.getElementById("overview").addEventListener("click", overview);

	overview();
	fit();
	if (scale < readable) { // too much to read at once: begin with what was asked about
		scale = 0.8;
		center(nodes[root]);
	}
})();
