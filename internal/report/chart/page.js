'use strict';
(() => {
  const find = (selector, from = document) => from.querySelector(selector);
  const every = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const main = find('main'), svg = find('#drawing'), search = find('#search');
  const size = name => Number(main.dataset[name]);
  const row = size('row'), top = size('top'), width = size('width'), height = size('height'), bow = size('bow');
  const kinds = every('#kinds input').map(box => box.value);

  const nodes = every('.node').map(element => {
    const [x, y] = element.getAttribute('transform').match(/[\d.]+/g).map(Number);
    return { element, x, y, id: element.id, column: kinds.indexOf(element.dataset.kind), edges: [], shown: true };
  });
  const byID = new Map(nodes.map(node => [node.id, node]));
  const edges = every('.edge').map(element => {
    const edge = { element, from: byID.get(element.dataset.from), to: byID.get(element.dataset.to), out: element.dataset.out, in: element.dataset.in };
    edge.from.edges.push(edge);
    edge.to.edges.push(edge);
    return edge;
  });
  const facts = new Map(every('dl', find('#facts').content).map(list => [list.dataset.of, list]));
  const other = (edge, node) => edge.from === node ? edge.to : edge.from;

  let chosen = null, alone = null, current = nodes[0];

  // What is joined to a node, and through a contract to what that joins, and to the namespaces of its entrustee.
  function neighbourhood(node) {
    const near = new Set([node, ...node.edges.map(edge => other(edge, node))]);
    const along = (from, relation) => from.edges.filter(edge => edge.from === from && edge.element.classList.contains(relation)).map(edge => edge.to);
    for (const contract of [...near].filter(n => n.element.dataset.kind === 'Contract')) {
      contract.edges.forEach(edge => near.add(other(edge, contract)));
      along(contract, 'is-entrusted').forEach(party => along(party, 'runs').forEach(namespace => near.add(namespace)));
    }
    return near;
  }

  // Puts what is shown close together, in the order that the drawing has, and draws the edges anew.
  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const on = id => new Set(every(`#${id} input:checked`).map(box => box.value));
    const states = on('states'), shownKinds = on('kinds'), near = alone && neighbourhood(alone);
    const next = kinds.map(() => 0);
    let shown = 0;
    for (const node of nodes) {
      const data = node.element.dataset;
      node.shown = states.has(data.state) && shownKinds.has(data.kind) && (!near || near.has(node)) && words.every(word => data.search.includes(word));
      node.element.classList.toggle('gone', !node.shown);
      if (!node.shown) continue;
      shown++;
      node.y = top + row * next[node.column]++;
      node.element.setAttribute('transform', `translate(${node.x} ${node.y})`);
    }
    for (const edge of edges) {
      edge.element.classList.toggle('gone', !edge.from.shown || !edge.to.shown);
      edge.element.setAttribute('d', path(edge));
    }
    const tall = Math.max(top + size('margin') + row * Math.max(1, ...next), 200);
    svg.setAttribute('height', tall);
    svg.setAttribute('viewBox', `0 0 ${svg.getAttribute('width')} ${tall}`);
    svg.classList.toggle('many', shown > 120);
    every('.count').forEach((count, i) => { count.textContent = next[i]; });
    find('#shown').textContent = `${shown} of ${nodes.length} shown`;
    find('#all').disabled = shown === nodes.length && !alone && !chosen;
    rove(current.shown ? current : nodes.find(node => node.shown) || current);
  }

  function path(edge) {
    const [a, b] = edge.from.column > edge.to.column ? [edge.to, edge.from] : [edge.from, edge.to];
    const ay = a.y + height / 2, by = b.y + height / 2, side = a.x + width;
    if (a.column === b.column) return `M${side} ${ay}C${side + bow} ${ay} ${side + bow} ${by} ${side} ${by}`;
    const bend = (b.x - side) / 2;
    return `M${side} ${ay}C${side + bend} ${ay} ${b.x - bend} ${by} ${b.x} ${by}`;
  }

  // One node at a time takes part in the order of the tab key.
  function rove(node) {
    current.element.tabIndex = -1;
    current = node;
    current.element.tabIndex = 0;
  }

  function go(node) {
    rove(node);
    node.element.focus();
    node.element.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function choose(node) {
    if (chosen) {
      chosen.element.classList.remove('chosen');
      chosen.element.setAttribute('aria-pressed', 'false');
      edges.forEach(edge => edge.element.classList.remove('touched'));
    }
    chosen = node;
    svg.classList.toggle('choosing', Boolean(node));
    find('#focus').disabled = !node;
    find('#all').disabled = !node && !alone;
    find('#welcome').hidden = Boolean(node);
    find('#details').hidden = !node;
    if (!node) return;
    rove(node);
    node.element.classList.add('chosen');
    node.element.setAttribute('aria-pressed', 'true');
    node.edges.forEach(edge => edge.element.classList.add('touched'));
    tell(node);
  }

  function add(parent, name, text, className) {
    const element = parent.appendChild(document.createElement(name));
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function tell(node) {
    const details = find('#details');
    details.replaceChildren();
    const data = node.element.dataset;
    add(details, 'h2', data.name);
    if (data.title) add(details, 'p', data.title);
    add(details, 'strong', data.lasting, data.state);
    if (facts.get(node.id)) details.append(facts.get(node.id).cloneNode(true));
    const groups = new Map();
    for (const edge of node.edges) {
      const title = edge.from === node ? edge.out : edge.in;
      groups.set(title, [...(groups.get(title) || []), other(edge, node)]);
    }
    for (const [title, members] of groups) {
      add(details, 'h3', `${title} (${members.length})`);
      const list = add(details, 'ul');
      for (const member of members) {
        const button = add(add(list, 'li'), 'button', member.element.dataset.name, member.element.dataset.state);
        button.type = 'button';
        button.addEventListener('click', () => { choose(member); if (member.shown) go(member); });
      }
    }
  }

  function everything() {
    alone = null;
    search.value = '';
    every('fieldset input').forEach(box => { box.checked = true; });
    choose(null);
    draw();
  }

  function only() {
    alone = chosen;
    draw();
    if (alone.shown) go(alone);
    main.scrollTo(0, 0);
    find('#all').disabled = false;
  }

  // The nearest node that is shown in the next column that has one, or in the same.
  function move(key) {
    const column = node => nodes.filter(n => n.shown && n.column === node);
    if (key === 'ArrowUp' || key === 'ArrowDown') {
      const list = column(current.column), at = list.indexOf(current) + (key === 'ArrowDown' ? 1 : -1);
      if (list[at]) go(list[at]);
      return;
    }
    const step = key === 'ArrowRight' ? 1 : -1;
    for (let i = current.column + step; i >= 0 && i < kinds.length; i += step) {
      const list = column(i).sort((a, b) => Math.abs(a.y - current.y) - Math.abs(b.y - current.y));
      if (list.length) return go(list[0]);
    }
  }

  svg.addEventListener('click', event => {
    const element = event.target.closest('.node');
    choose(element ? byID.get(element.id) : null);
  });
  svg.addEventListener('keydown', event => {
    if (event.key.startsWith('Arrow')) {
      event.preventDefault();
      move(event.key);
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      choose(current === chosen ? null : current);
    }
  });
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape') everything();
    else if (event.target === search) return;
    else if (event.key === '/') { event.preventDefault(); search.focus(); }
    else if (event.key === 'f' && chosen) only();
  });
  search.addEventListener('input', draw);
  every('fieldset input').forEach(box => box.addEventListener('change', draw));
  find('#focus').addEventListener('click', only);
  find('#all').addEventListener('click', everything);
  if (nodes.length) draw();
})();
