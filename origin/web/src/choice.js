// A row of radio buttons: one tab stop, arrow keys move, as the browser does it. Shown anew, the row keeps the focus.

/**
 * @param {HTMLElement} row a role=radiogroup element; its former content goes
 * @param {{id: string, label: string, note?: string, disabled?: boolean, current?: boolean, title?: string}[]} options
 * @param {string | null} chosen
 * @param {(id: string) => void} onChoose
 */
export function showChoices(row, options, chosen, onChoose) {
  const rows = options.map((option) => {
    const label = document.createElement('label');
    const input = Object.assign(document.createElement('input'), {
      type: 'radio',
      name: row.id,
      value: option.id,
      checked: option.id === chosen,
      disabled: option.disabled ?? false,
    });
    input.addEventListener('change', () => onChoose(option.id));
    const text = document.createElement('span');
    text.textContent = option.label;
    label.append(input, text);
    if (option.note) label.append(Object.assign(document.createElement('small'), { textContent: option.note }));
    if (option.current) label.setAttribute('aria-current', 'true');
    if (option.title) label.title = option.title;
    return label;
  });
  const focused = row.contains(document.activeElement) ? document.activeElement.value : null;
  row.replaceChildren(...rows);
  if (focused !== null) row.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
}
