/** The panel of keys that a browser keeps to itself, or a phone does not have, and of modifiers that stay pressed. */

export class KeyPanel {
  #modifiers;
  #pressed;

  /**
   * Draws into `element`. `keyboard` names the keys (see screen-keyboard.js); `pressed(press)` is called with a function of a viewer
   * when one is pressed, `closed()` when the user has enough; `modifiers` are StickyModifiers.
   */
  constructor(element, { keyboard, modifiers, pressed, closed }) {
    this.#modifiers = modifiers;
    this.#pressed = pressed;
    element.append(this.#modifierGroup(keyboard.modifiers), ...keyboard.keyGroups.map((group) => this.#group(group)));
    element.append(paragraph('quiet', 'A modifier holds for the next key; press it twice to lock it.'), makeButton('Close', closed));
  }

  #modifierGroup(names) {
    const buttons = names.map((name) => {
      const button = makeButton(name, () => this.#modifiers.press(name));
      button.dataset.modifier = name;
      return button;
    });
    const draw = () => {
      for (const [index, name] of names.entries()) {
        const state = this.#modifiers.stateOf(name);
        buttons[index].setAttribute('aria-pressed', String(state !== 'up'));
        buttons[index].setAttribute('aria-label', state === 'locked' ? `${name}, locked` : name);
        buttons[index].dataset.state = state;
      }
    };
    this.#modifiers.watch(draw);
    draw();
    return makeGroup('Modifiers', buttons);
  }

  #group(group) {
    if (group.choices) return this.#choiceGroup(group);
    if (group.select) return this.#selectGroup(group);
    return makeGroup(group.label, this.#keys(group.keys));
  }

  #keys(keys) {
    return keys.map(({ says, label, press }) => {
      const button = makeButton(says, () => this.#pressed(press));
      if (label && label !== says) button.setAttribute('aria-label', label);
      return button;
    });
  }

  /** The same keys in several forms, one of which is shown. */
  #choiceGroup({ label, choices }) {
    const keys = document.createElement('span');
    keys.className = 'keys';
    const select = makeSelect(label, choices);
    const draw = () => keys.replaceChildren(...this.#keys(choices[select.value].keys));
    select.addEventListener('change', draw);
    draw();
    return makeGroup(label, [select, keys]);
  }

  #selectGroup({ label, select: choices, send }) {
    const select = makeSelect(label, choices);
    return makeGroup(label, [select, makeButton(send, () => this.#pressed(choices[select.value].press))]);
  }
}

function makeGroup(label, children) {
  const group = document.createElement('div');
  group.className = 'keys';
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', label);
  group.append(...children);
  return group;
}

function makeButton(says, onclick) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = says;
  button.addEventListener('click', onclick);
  return button;
}

function makeSelect(label, choices) {
  const select = document.createElement('select');
  select.setAttribute('aria-label', label);
  select.append(...choices.map(({ says }, index) => new Option(says, String(index))));
  return select;
}

function paragraph(className, words) {
  const element = document.createElement('p');
  element.className = className;
  element.textContent = words;
  return element;
}
