// What the origin offers: GET /titles.json.

/**
 * @typedef {object} Title
 * @property {string} id
 * @property {number} duration_ms
 * @property {Record<string, {hls?: string, dash?: string}>} profiles manifest URLs by profile name
 */

/** @returns {Promise<Title[]>} by name; throws an Error whose message is meant for the viewer */
export async function fetchTitles() {
  let response;
  try {
    response = await fetch('titles.json', { cache: 'no-cache' });
  } catch {
    throw new Error('The server did not answer. Is headwater-origin running?');
  }
  if (!response.ok) throw new Error(`The server gave no list of titles (${response.status}).`);
  const titles = await response.json();
  return titles.sort((a, b) => a.id.localeCompare(b.id));
}

/** 754000 -> "12:34", 4354000 -> "1:12:34" */
export function clock(duration_ms) {
  const total_s = Math.round(duration_ms / 1000);
  const parts = [Math.floor(total_s / 3600), Math.floor(total_s / 60) % 60, total_s % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? part : String(part).padStart(2, '0'))).join(':');
}
