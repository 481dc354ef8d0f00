// The last minute as a picture: buffer ahead as an area, each request as a bar from its start to its end.

const WINDOW_MS = 60_000;
const BAR_PX = 5;
const LANE_PX = 7;
const BUFFER_SHARE = 0.45; // of the height; the lanes have the rest
const BUFFER_STEPS_S = [10, 20, 40, 60, 120, 300];

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import('./requests.js').Request[]} requests
 * @param {{at_ms: number, ahead_s: number}[]} samples of the buffer, oldest first
 * @param {number} now_ms
 */
export function draw(canvas, requests, samples, now_ms) {
  const { width, height, pen } = fit(canvas);
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(`--${name}`);
  const x = (at_ms) => width - ((now_ms - at_ms) / WINDOW_MS) * width;
  pen.clearRect(0, 0, width, height);
  drawGrid(pen, { width, height, x, now_ms, colour });
  drawBuffer(pen, samples.filter(({ at_ms }) => at_ms > now_ms - WINDOW_MS), { top: height * BUFFER_SHARE, x, colour });
  drawLanes(pen, requests.filter(({ end_ms }) => (end_ms ?? now_ms) > now_ms - WINDOW_MS), { top: height * BUFFER_SHARE + 10, height, x, now_ms, colour });
}

/** Matches the canvas's pixels to the screen's. */
function fit(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return { width, height, pen };
}

function drawGrid(pen, { width, height, x, now_ms, colour }) {
  pen.font = '11px system-ui, sans-serif';
  for (let ago_s = 0; ago_s <= WINDOW_MS / 1000; ago_s += 10) {
    const at = Math.round(x(now_ms - ago_s * 1000));
    pen.fillStyle = colour('faint');
    pen.fillRect(Math.min(at, width - 1), 0, 1, height);
    pen.fillStyle = colour('soft');
    if (ago_s > 0) pen.fillText(`${ago_s} s ago`, at + 4, height - 4);
  }
}

function drawBuffer(pen, samples, { top: base, x, colour }) {
  if (samples.length === 0) return;
  const most_s = Math.max(...samples.map(({ ahead_s }) => ahead_s));
  const full_s = BUFFER_STEPS_S.find((step) => step >= most_s) ?? most_s;
  const y = (ahead_s) => base - (ahead_s / full_s) * (base - 14);
  pen.beginPath();
  pen.moveTo(x(samples[0].at_ms), base);
  for (const { at_ms, ahead_s } of samples) pen.lineTo(x(at_ms), y(ahead_s));
  pen.lineTo(x(samples.at(-1).at_ms), base);
  pen.closePath();
  pen.fillStyle = colour('buffer');
  pen.globalAlpha = 0.3;
  pen.fill();
  pen.globalAlpha = 1;
  pen.strokeStyle = colour('buffer');
  pen.stroke();
  pen.fillStyle = colour('soft');
  pen.fillText(`${full_s} s`, 4, 12);
}

/** Puts each bar into the first lane that is free, so that what ran side by side lies side by side. */
function drawLanes(pen, requests, { top, height, x, now_ms, colour }) {
  const lanes = Math.max(1, Math.floor((height - top - 16) / LANE_PX));
  const free_ms = new Array(lanes).fill(-Infinity);
  for (const request of requests) {
    const end_ms = request.end_ms ?? now_ms;
    const lane = Math.max(0, free_ms.findIndex((free) => free <= request.start_ms));
    free_ms[lane] = end_ms;
    pen.fillStyle = colour(request.state === 'failed' ? 'failed' : request.kind);
    pen.globalAlpha = request.state === 'running' || request.state === 'aborted' ? 0.45 : 1;
    pen.fillRect(x(request.start_ms), top + lane * LANE_PX, Math.max(2, x(end_ms) - x(request.start_ms)), BAR_PX);
  }
  pen.globalAlpha = 1;
}
