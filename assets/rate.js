// The Rate page's script, run once when its gr.HTML is there: `element`, `trigger` and `watch` are Gradio's.
// Marks live here until they are saved; the server only ever gets what the annotator saw: columns by position.
// Events: 'begin' 'next' 'vote' 'correct' 'answers' 'own' 'say' 'account' 'data' 'erase'
const STORE = {id: 'pal-rate-id', draft: 'pal-rate-draft', typed: 'pal-rate-typed'};
const PATIENCE = 15000; // ms until an unanswered save says so
let marks = blank();
let current = 0;
let busy = null; // name of the event that is running
let asked = null; // its name and data, to ask again
let timer = 0;

function blank() {
  return {ranks: empty(() => 0), flags: empty(() => []), bad: false, comment: '', submission: fresh()};
}
function empty(value) { // a value for each reply on the board
  return Array.from({length: element.querySelectorAll('[data-column]').length}, value);
}
function letter(column) { return String.fromCharCode(65 + column); }
function fresh() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, '0')).join('');
}
function read(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}
function write(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch { /* a browser that keeps nothing: the page works, without a draft */ }
}
const view = () => element.querySelector('.rate');
const phase = () => view()?.dataset.phase;
const one = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const visible = (node) => node.offsetParent !== null;
const typing = (node) => node.matches?.('textarea, select, input:not([type=checkbox]):not([type=radio])');

function say(text) {
  const note = document.querySelector('#pal-rate-said');
  if (note) note.textContent = text;
}

// ---- events to the server -------------------------------------------------------------------------
function send(name, data = {}) {
  if (busy) return;
  busy = name;
  asked = {name, data};
  say('');
  view().classList.add('is-busy');
  if (name === 'vote') saved('saving …', true);
  clearTimeout(timer);
  timer = setTimeout(() => {
    settled();
    say(name === 'vote' ? 'Not saved yet. Your marks are kept here: save again.' : 'No answer yet. Try again.');
    if (name === 'vote') saved('not saved', true);
  }, name === 'vote' ? PATIENCE : 20 * PATIENCE);
  trigger(name, {code: read(STORE.id) || '', ...data});
}
function saved(text, open) {
  const line = one('.rate-saved');
  if (!line) return;
  line.textContent = text;
  line.classList.toggle('is-open', open);
}
function settled() { // the event has ended, whether or not it changed the view
  if (busy === 'vote' && one('.rate-saved')?.textContent === 'saving …') saved('not saved', true);
  busy = null;
  clearTimeout(timer);
  view()?.classList.remove('is-busy');
}
window.palRateSettled = settled;

const ACTIONS = {
  begin() {
    if (!one('#rate-agree').checked) { say('Tick “I have read this and agree” first.'); one('#rate-agree').focus(); return; }
    begin({agree: true});
  },
  resume() { begin({code: one('#rate-code').value.trim()}); },
  again() { if (asked.name === 'begin') begin({}); else send(asked.name, asked.data); },
  restart() { location.reload(); },
  leave() { forget(); location.reload(); },
  erase() { send('erase', {confirm: one('#rate-confirm').value.trim()}); },
  back() { send('correct', {before: view().dataset.turn}); },
  correct(button) { send('correct', {turn: button.dataset.turn}); },
  answers(button) { send('answers', {page: Number(button.dataset.page || 0)}); },
  say(button) {
    const message = one('#rate-message').value;
    const persona = one('#rate-own-persona')?.value;
    const column = Number(one('[name=rate-go]:checked')?.value ?? 0);
    send('say', {message, persona, turn: button.dataset.turn || '', column});
  },
};
function begin(data) {
  const draft = read(STORE.draft);
  send('begin', {open: draft?.turn || '', correct: Boolean(draft?.correction), ...data});
}

// ---- marks ----------------------------------------------------------------------------------------
const MARKS = {
  bad() {
    marks.bad = !marks.bad;
    if (marks.bad) marks.ranks = empty(() => 0);
  },
  comment() {
    const box = one('.rate-comment');
    box.hidden = !box.hidden;
    if (!box.hidden) box.querySelector('textarea').focus();
  },
  skip() { vote({skip: true}); },
  save() {
    const open = marks.ranks.flatMap((rank, column) => (rank ? [] : [column]));
    if (marks.bad || !open.length) vote({skip: false});
    else {
      say(`Place ${open.map(letter).join(' and ')} first, or press 0 if all are bad.`);
      current = open[0];
    }
  },
};
function vote({skip}) {
  const correction = 'marks' in view().dataset;
  keep(true);
  send('vote', {
    turn: view().dataset.turn, submission: marks.submission, skip, correction,
    ranks: skip || marks.bad ? [] : marks.ranks, flags: skip ? [] : marks.flags, bad: !skip && marks.bad,
    comment: marks.comment,
  });
}
function place(column, rank) {
  marks.bad = false;
  marks.ranks[column] = rank;
  const others = marks.ranks.map((_, step) => (column + step) % marks.ranks.length);
  current = others.find((other) => !marks.ranks[other]) ?? column;
}
function flag(column, name) {
  const flags = marks.flags[column];
  marks.flags[column] = flags.includes(name) ? flags.filter((other) => other !== name) : [...flags, name].sort();
  current = column;
}
function changed() {
  marks.submission = fresh(); // another vote than the one that may be on its way
  keep();
  paint();
}
function keep(sent = false) {
  write(STORE.draft, {turn: view().dataset.turn, correction: 'marks' in view().dataset, marks, sent});
}
function press(button, on) {
  button.setAttribute('aria-pressed', String(on));
}
function paint() {
  if (phase() !== 'rate') return;
  for (const article of all('[data-column]')) {
    const column = Number(article.dataset.column);
    article.classList.toggle('is-current', column === current);
    article.querySelectorAll('[data-place]').forEach((button) => press(button, marks.ranks[column] === Number(button.dataset.place)));
    article.querySelectorAll('[data-flag]').forEach((button) => press(button, marks.flags[column].includes(button.dataset.flag)));
  }
  press(one('[data-mark=bad]'), marks.bad);
  const box = one('.rate-comment');
  one('[data-mark=comment]').setAttribute('aria-expanded', String(!box.hidden));
  one('[data-mark=save]').classList.toggle('is-ready', marks.bad || marks.ranks.every(Boolean));
}

// ---- a new view -----------------------------------------------------------------------------------
let shown = null; // the HTML node's turn that `marks` belong to
function opened() {
  const now = view();
  if (!now) return;
  one('.rate-saved')?.classList.remove('is-open');
  settled();
  if (element.contains(document.activeElement)) document.activeElement.blur(); // it may be another button now
  if (now.dataset.code) write(STORE.id, now.dataset.code);
  if (now.dataset.phase === 'erased') forget();
  if (now.dataset.rated && read(STORE.draft)?.turn === now.dataset.rated) write(STORE.draft, null);
  all('textarea, input[type=text]').forEach((box) => { box.value = box.defaultValue; });
  if (now.dataset.phase === 'rate') openBoard(now.dataset);
  else {
    shown = null;
    if (now.dataset.auto) send(now.dataset.auto);
    else openComposer();
  }
}
function openBoard({turn, marks: earlier}) {
  if (asked?.name === 'say') write(STORE.typed, null);
  marks = {...blank(), ...JSON.parse(earlier || '{}')};
  if (!marks.ranks.length) marks.ranks = empty(() => 0);
  if (!marks.flags.length) marks.flags = empty(() => []);
  const draft = read(STORE.draft);
  const lost = draft?.turn === turn && draft.sent; // Gradio reloads the page when it was cut off
  if (draft?.turn === turn && draft.marks) marks = draft.marks;
  current = Math.max(0, marks.ranks.indexOf(0));
  one('#rate-comment').value = marks.comment;
  one('.rate-comment').hidden = !marks.comment;
  keep();
  paint();
  if (lost) {
    saved('not saved', true);
    say('Your last vote did not arrive. Your marks are kept: save again.');
  }
  if (shown !== turn) {
    one('.rate-talk').focus({preventScroll: true}); // read out, and no button has the keys
    if (matchMedia('(max-width: 759px)').matches) one('.rate-talk').scrollIntoView({block: 'start'});
  }
  shown = turn;
}
function openComposer() { // what was typed and not sent is still there after a reload
  const typed = read(STORE.typed) || {};
  for (const id of ['rate-message', 'rate-own-persona']) if (typed[id] && one('#' + id)) one('#' + id).value = typed[id];
  one('#rate-message')?.focus({preventScroll: true});
}
function forget() { Object.values(STORE).forEach((key) => write(key, null)); }

// ---- mouse, touch and keyboard: all of them end in a button's click -------------------------------
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || busy) return;
  if (event.detail) button.blur(); // a mouse click must not leave Enter bound to this button
  const {place: rank, flag: name, mark, do: action} = button.dataset;
  if (action) { (ACTIONS[action] || (() => send(action)))(button); return; }
  const column = Number(button.closest('[data-column]')?.dataset.column);
  if (rank) place(column, Number(rank));
  else if (name) flag(column, name);
  else if (mark) MARKS[mark]();
  if (rank || name || mark === 'bad') changed();
  else paint();
});
element.addEventListener('focusin', (event) => {
  const article = event.target.closest('[data-column]');
  if (article) { current = Number(article.dataset.column); paint(); }
});
element.addEventListener('input', (event) => {
  if (event.target.id === 'rate-comment') { marks.comment = event.target.value; marks.submission = fresh(); keep(); }
  if (event.target.id === 'rate-example') one('#rate-own-persona').value = event.target.value;
  if (one('#rate-message')) {
    write(STORE.typed, {'rate-message': one('#rate-message').value, 'rate-own-persona': one('#rate-own-persona')?.value});
  }
});
document.addEventListener('keydown', (event) => {
  const {target} = event;
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (target.id === 'rate-message' && event.key === 'Enter' && !event.shiftKey) {
    event.preventDefault();
    one('[data-do=say]').click();
    return;
  }
  if (typing(target)) {
    if (event.key === 'Escape') target.blur();
    else if (event.key === 'Enter' && target.matches('input')) target.closest('p, section').querySelector('[data-do]')?.click();
    return;
  }
  const own = {Enter: 'button, a, summary', ' ': 'button, summary, input'}[event.key];
  if (own && target.matches?.(own)) return; // the focused control's own key
  const typed = event.key.length === 1 ? event.key.toLowerCase().charCodeAt(0) - 97 : -1;
  const column = typed < all('[data-column]').length ? typed : -1;
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key] || 0;
  if (phase() === 'rate' && (column >= 0 || step)) {
    if (target.matches?.('input[type=radio]')) return;
    current = column >= 0 ? column : (current + step + marks.ranks.length) % marks.ranks.length;
    paint();
    one('.is-current').scrollIntoView({block: 'nearest'});
    event.preventDefault();
    return;
  }
  const wanted = `[data-key="${CSS.escape(event.key.toLowerCase())}"]`;
  const found = one(`.is-current ${wanted}`) || all(wanted).find((button) => visible(button) && !button.closest('[data-column]'));
  if (!found || event.repeat) return;
  event.preventDefault();
  found.click();
});

watch('value', opened);
opened();
if (read(STORE.id) && phase() === 'welcome') begin({});
