// Reads the frame number that the encoder's sample carries: a strip over the top ninth of the picture, 20 cells wide:
// white, black, 16 bits of the number (most significant first, white is 1), even parity, white.
//
// `observe` runs in the page before anything else. Every frame that a video element presents is read at once and noted,
// so no moment has to be hit.

/**
 * @typedef {object} Frame
 * @property {number | null} number what the bar code says; null when it cannot be read
 * @property {number} at_ms when it was shown, since the video element came into the page
 * @property {number} media_s the time of the frame in the stream
 * @property {number} height of the picture, before scaling
 */

/** Script for the page: fills `window.frames_seen` with Frames, and reads any picture with `window.strip_of`. Encrypted
 *  video is black to a canvas: its Frames have no number. Self-contained: it is sent as text. */
export function observe() {
  const CELLS = 20;
  const CELL_PX = 8;
  const BLACK_BELOW = 90;
  const WHITE_ABOVE = 165;
  const frames = (window.frames_seen = []);
  const canvas = new OffscreenCanvas(CELLS * CELL_PX, 4);
  const pen = canvas.getContext('2d', { willReadFrequently: true });

  window.strip_of = function (picture, width, height) {
    const strip_px = height / 9;
    // The middle third of the strip: its lower edge is soft after scaling.
    pen.drawImage(picture, 0, strip_px / 3, width, strip_px / 3, 0, 0, canvas.width, canvas.height);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    const bits = [];
    for (let cell = 0; cell < CELLS; cell++) {
      const level = pixels[4 * (2 * canvas.width + cell * CELL_PX + CELL_PX / 2)];
      if (level > BLACK_BELOW && level < WHITE_ABOVE) return null;
      bits.push(level >= WHITE_ABOVE ? 1 : 0);
    }
    const framed = bits[0] === 1 && bits[1] === 0 && bits[19] === 1;
    const odd = bits.slice(2, 19).reduce((sum, bit) => sum ^ bit, 0);
    if (!framed || odd) return null;
    return bits.slice(2, 18).reduce((number, bit) => number * 2 + bit, 0);
  };

  // A busy page is called late, when the element shows a later frame than the one it is called for: a frame taken from it
  // has its own time. Encrypted ones are those that it is called for: the element's own size may still be another's.
  function read(video, called_for) {
    let frame;
    try {
      frame = new VideoFrame(video);
    } catch {
      return { number: null, media_s: called_for.mediaTime, height: called_for.height }; // encrypted, or taken away
    }
    const height = frame.displayHeight;
    const number = window.strip_of(frame, frame.displayWidth, frame.displayHeight);
    const media_s = frame.timestamp / 1e6;
    frame.close();
    return { number, media_s, height };
  }

  function follow(video, began_ms) {
    video.requestVideoFrameCallback((now_ms, called_for) => {
      frames.push({ at_ms: now_ms - began_ms, ...read(video, called_for) });
      follow(video, began_ms);
    });
  }

  const followed = new WeakSet();
  new MutationObserver(() => {
    for (const video of document.querySelectorAll('video')) {
      if (followed.has(video)) continue;
      followed.add(video);
      follow(video, performance.now());
    }
  }).observe(document, { childList: true, subtree: true });
}
