// Hears the sample's beeps in the page and says at which time of the stream each began.
//
// The video element plays into a Web Audio graph. A worklet notes the sample of the graph at which sound begins after
// silence; the page notes again and again which time of the stream goes with which time of the graph. Chromium reckons
// the stream's time from the sound that it has given away, so the two run alike and their middle difference is exact to
// a millisecond, on a busy machine too.

/** Script for the page, once it has its video element: fills `window.heard`. Self-contained: it is sent as text. */
export async function listen() {
  const SILENCE_S = 0.3;
  const LOUD = 0.05; // of full scale; the beep has half of it
  const LOOK_MS = 10;
  const { video } = window.headwater;
  const context = new AudioContext({ sampleRate: 48_000 });
  const worklet = `registerProcessor('onsets', class extends AudioWorkletProcessor {
    last_s = -Infinity;
    process([[channel = []]]) {
      channel.forEach((sample, i) => {
        if (Math.abs(sample) < ${LOUD}) return;
        const at_s = (currentFrame + i) / sampleRate;
        if (at_s - this.last_s > ${SILENCE_S}) this.port.postMessage(at_s);
        this.last_s = at_s;
      });
      return true;
    }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: 'text/javascript' })));
  const onsets = new AudioWorkletNode(context, 'onsets');
  const heard = (window.heard = { onsets_s: [], clocks: [] });
  onsets.port.onmessage = ({ data }) => heard.onsets_s.push(data);
  context.createMediaElementSource(video).connect(onsets);
  onsets.connect(context.destination);
  video.muted = false;
  await context.resume();
  setInterval(() => {
    if (!video.paused && !video.seeking) heard.clocks.push({ video_s: video.currentTime, graph_s: context.currentTime });
  }, LOOK_MS);
}

/** Script for the page: the time of the stream at which each beep began. */
export function beeps() {
  const NEAR_S = 0.5;
  const { onsets_s, clocks } = window.heard;
  return onsets_s.map((onset_s) => {
    const near = clocks.filter(({ graph_s }) => Math.abs(graph_s - onset_s) < NEAR_S);
    const ahead_s = near.map(({ video_s, graph_s }) => video_s - graph_s).sort((a, b) => a - b);
    return onset_s + ahead_s[Math.floor(ahead_s.length / 2)];
  });
}
