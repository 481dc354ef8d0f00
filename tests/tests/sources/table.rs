//! The table of cases: what ffmpeg makes of the test films, and what must come of it.

use crate::cases::{BT709, Case, SD, TALL, damaged, from, made, near, written};

/// Every case.
pub fn all() -> Vec<Case> {
    [containers(), times(), pictures(), sounds(), refused()].into_iter().flatten().collect()
}

/// Containers and codecs, and what else lies in them. Some lose or shift sound when the source is made: decoders
/// of WMA drop the first 43 ms, ffmpeg writes Matroska's picture 7 ms behind Opus, and MPEG-TS cannot hide
/// the 21 ms that an AAC encoder puts first.
fn containers() -> Vec<Case> {
    vec![
        made("moov-at-end", "moov-at-end.mp4", "-i {film} -c copy {out}").tags(SD).says(&["does not say what its colours are: taken for those of SD"]),
        made("open-gop", "open-gop.mp4", "-i {film} -c:a copy -c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=30:min-keyint=30:bframes=3:b-adapt=0 {out}").core(),
        made("edit-list", "edit-list.mp4", "-ss 1 -i {film} -c copy {out}").frames(from(24, 1, 72)).beeps(&[0, 1000, 2000]).core(),
        made("fragmented", "fragmented.mp4", "-i {film} -c copy -movflags +frag_keyframe+delay_moov {out}"),
        made("prores", "prores.mov", "-i {film} -c:v prores_ks -profile:v 0 -c:a pcm_s16le {out}"),
        made("mkv", "mkv.mkv", "-i {film} -c copy {out}"),
        made("mkv-later", "mkv-later.mkv", "-i {film} -c copy -copyts -output_ts_offset 11.3 {out}"),
        made("webm", "webm.webm", "-i {film} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 800k -c:a libvorbis {out}").beeps(&[0, 1000, 2000, 3000]),
        made("ts", "ts.ts", "-i {film} -c copy {out}").core(),
        made("mpeg-ps", "mpeg-ps.mpg", "-i {film25} -c:v mpeg2video -q:v 3 -bf 2 -c:a mp2 -f vob {out}").frames(from(0, 1, 100)).rate(25, 1).core(),
        made("avi", "avi.avi", "-i {film} -c:v mpeg4 -q:v 3 -c:a pcm_s16le {out}").core(),
        made("avi-b-frames", "avi-b.avi", "-i {film} -c:v libx264 -preset ultrafast -bf 2 -c:a pcm_s16le {out}"),
        made("mxf", "mxf.mxf", "-i {film25} -c:v mpeg2video -q:v 3 -c:a pcm_s16le {out}").frames(from(0, 1, 100)).rate(25, 1).core(),
        made("flv", "flv.flv", "-i {film} -c copy {out}"),
        made("wmv", "wmv.wmv", "-i {film} -c:v wmv2 -q:v 3 -c:a wmav2 {out}").beeps(&[43, 1000, 2000, 3000]),
        made("ogv", "ogv.ogv", "-i {film} -c:v libtheora -q:v 8 -c:a libvorbis {out}"),
        made("mjpeg", "mjpeg.mov", "-i {film} -c:v mjpeg -q:v 2 -pix_fmt yuvj420p -c:a pcm_s24le {out}"),
        made("hevc", "hevc.mp4", "-i {film} -c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 -c:a copy {out}"),
        made("alt-ref", "alt-ref.webm", "-i {film} -c:v libvpx -deadline good -cpu-used 1 -auto-alt-ref 1 -lag-in-frames 16 -arnr-maxframes 7 -b:v 300k -passlogfile {dir}/alt -pass 1 -an -f null /dev/null ; -i {film} -c:v libvpx -deadline good -cpu-used 1 -auto-alt-ref 1 -lag-in-frames 16 -arnr-maxframes 7 -b:v 300k -passlogfile {dir}/alt -pass 2 -c:a libvorbis {out}").core(),
        made("size-changes", "size-changes.ts", "-i {film} -an -t 2 -c:v libx264 -preset ultrafast -bf 0 -f h264 {dir}/small.h264 ; -ss 2 -i {film} -an -vf scale=640:360 -c:v libx264 -preset ultrafast -bf 0 -f h264 {dir}/large.h264 ; -f h264 -framerate 24 -i concat:{dir}/small.h264|{dir}/large.h264 -i {film} -map 0:v -map 1:a -c copy {out}").core(),
        made("av1", "av1.mkv", "-i {film} -c:v libsvtav1 -preset 12 -crf 30 -c:a libopus {out}").beeps(&[0, 993, 1993, 2993]),
        made("cover", "cover.mp4", "-i {film} -frames:v 1 {dir}/cover.png ; -i {film} -i {dir}/cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic {out}").core(),
        made("timecode", "timecode.mov", "-i {film} -c copy -timecode 01:00:00:00 {out}"),
        made("subtitles", "subtitles.mkv", "-i {film} -c copy -attach {film} -metadata:s:t mimetype=application/octet-stream {out}"),
        made("chapters", "chapters.mp4", "-i {film} -f ffmetadata -i {dir}/chapters.txt -map 0 -map_metadata 1 -c copy {out}"),
    ]
}

/// Rates, constant and not.
fn times() -> Vec<Case> {
    vec![
        made("ten-seconds", "ten-seconds.mov", "-i {ten} -c copy {out}").frames(from(0, 1, 240)).beeps(&[0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]),
        made("vfr-mp4", "vfr.mp4", "-i {film} -vf select=not(eq(mod(n\\,7)\\,3)) -fps_mode vfr -c:v libx264 -preset ultrafast -c:a copy {out}").frames(near(24.0, 80)).rate(20, 1).says(&["a frame rate that varies"]),
        made("vfr-mkv", "vfr.mkv", "-i {film30} -vf select=not(eq(mod(n\\,45)\\,7)) -fps_mode vfr -c:v libx264 -preset ultrafast -c:a copy {out}").frames(near(30.0, 120)).rate(30_000, 1001).says(&["a frame rate that varies"]).core(),
        made("two-rates", "two-rates.mp4", "-i {film} -vf select=gte(n\\,48)+not(mod(n\\,2)) -fps_mode vfr -c:v libx264 -preset ultrafast -c:a copy {out}").frames(near(24.0, 60)).rate(15, 1).says(&["a frame rate that varies"]),
        made("fps-12.5", "fps-12.5.mkv", "-i {half} -c copy {out}").frames(from(0, 1, 50)).rate(25, 2),
        made("fps-15", "fps-15.mkv", "-i {film15} -c copy {out}").frames(from(0, 1, 60)).rate(15, 1),
        made("fps-23.976", "fps-23.976.mkv", "-i {cinema} -c copy {out}").frames(from(0, 1, 96)).rate(24000, 1001),
        made("fps-25", "fps-25.mkv", "-i {film25} -c copy {out}").frames(from(0, 1, 100)).rate(25, 1),
        made("fps-29.97", "fps-29.97.mkv", "-i {ntsc} -c copy {out}").frames(from(0, 1, 120)).rate(30000, 1001),
        made("fps-30", "fps-30.mkv", "-i {film30} -c copy {out}").frames(from(0, 1, 120)).rate(30, 1),
        made("fps-50", "fps-50.mkv", "-i {film50} -c copy {out}").frames(from(0, 1, 200)).rate(50, 1),
        made("fps-59.94", "fps-59.94.mkv", "-i {fast} -c copy {out}").frames(from(0, 1, 240)).rate(60000, 1001),
        made("fps-60", "fps-60.mkv", "-i {film60} -c copy {out}").frames(from(0, 1, 240)).rate(60, 1),
        made("fps-100", "fps-100.mp4", "-i {film100} -c copy {out}").frames(from(0, 2, 200)).rate(50, 1).says(&["one of 2 is taken"]),
        made("fps-120", "fps-120.mp4", "-i {film120} -c copy {out}").frames(from(0, 2, 240)).rate(60, 1).says(&["one of 2 is taken"]).core(),
    ]
}

/// Fields, turns, shapes, colours; and pairs of what is nasty.
fn pictures() -> Vec<Case> {
    vec![
        made("interlaced", "interlaced.mp4", "-i {film25} -vf setfield=tff -flags +ildct+ilme -c:v libx264 -preset ultrafast -x264opts tff=1 -c:a copy {out}").frames(from(0, 1, 100)).rate(25, 1).says(&["is interlaced (top field first)"]),
        made("interlaced-ts", "interlaced.ts", "-i {film25} -vf setfield=tff -flags +ildct+ilme -c:v mpeg2video -q:v 3 -top 1 -c:a mp2 {out}").frames(from(0, 1, 100)).rate(25, 1).says(&["is interlaced (top field first)"]).core(),
        made("bottom-first", "bottom.mp4", "-i {ntsc} -vf setfield=bff -flags +ildct+ilme -c:v libx264 -preset ultrafast -x264opts bff=1 -c:a copy {out}").frames(from(0, 1, 120)).rate(30000, 1001).says(&["bottom field first"]),
        made("rotated-90", "rotated-90.mp4", "-i {film} -vf transpose=clock -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=90 {out}").core(),
        made("rotated-180", "rotated-180.mp4", "-i {film} -vf hflip,vflip -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=180 {out}"),
        made("rotated-270", "rotated-270.mov", "-i {film} -vf transpose=cclock -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=270 {out}"),
        made("portrait", "portrait.mp4", "-i {tall} -c copy {out}").rungs(TALL),
        made("rotated-portrait", "rotated-portrait.mp4", "-i {tall} -vf transpose=clock -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=90 {out}").rungs(TALL).says(&["is shown as 180x320"]),
        made("odd-size", "odd.mkv", "-i {film} -vf scale=321:181,setsar=1 -pix_fmt yuv444p -c:v libx264 -preset ultrafast -c:a copy {out}").core(),
        made("wide", "wide.mp4", "-i {wide} -c copy {out}").rungs(&[(640, 96)]),
        made("anamorphic", "anamorphic.mp4", "-i {film} -vf scale=240:180,setsar=4/3 -c:v libx264 -preset ultrafast -c:a copy {out}").says(&["is shown as 320x180"]).core(),
        made("pal-16-15", "pal.mkv", "-i {film} -vf scale=300:180,setsar=16/15 -c:v libx264 -preset ultrafast -c:a copy {out}"),
        made("ntsc-8-9", "ntsc.mp4", "-i {film} -vf scale=360:180,setsar=8/9 -c:v libx264 -preset ultrafast -c:a copy {out}"),
        made("rotated-anamorphic", "rotated-anamorphic.mp4", "-i {film} -vf scale=320:136,setsar=1,transpose=clock,setsar=4/3 -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=90 {out}").rungs(&[(320, 180), (254, 144)]),
        made("full-range", "full.mp4", "-i {film} -vf scale=out_range=pc -pix_fmt yuvj420p -color_range pc -c:v libx264 -preset ultrafast -c:a copy {out}"),
        made("untagged-hd", "untagged-hd.mp4", "-i {film} -vf scale=1280:720 -c:v libx264 -preset ultrafast -c:a copy {out}").tags(&[("color_space", "bt709"), ("color_transfer", "bt709"), ("color_primaries", "bt709")]).says(&["taken for those of HD (BT.709)"]).core(),
        made("ten-bit", "ten.mp4", "-i {film} -pix_fmt yuv420p10le -c:v libx264 -preset ultrafast -c:a copy {out}").core(),
        made("ten-bit-422", "ten422.mov", "-i {film} -c:v prores_ks -profile:v 2 -pix_fmt yuv422p10le -c:a pcm_s16le {out}"),
        made("rgb", "rgb.mkv", "-i {film} -c:v libx264rgb -preset ultrafast -c:a copy {out}").tags(BT709),
        made("grey", "grey.mp4", "-i {film} -pix_fmt gray -c:v libx264 -preset ultrafast -c:a copy {out}"),
        made("hdr10", "hdr10.mp4", "-i {film} -vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a copy -tag:v hvc1 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -x265-params log-level=error:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400 {out}").tags(BT709).core(),
        made("hlg", "hlg.mp4", "-i {film} -vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a copy -tag:v hvc1 -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc -x265-params log-level=error {out}").tags(BT709),
        made("wide-gamut", "wide-gamut.mp4", "-i {film} -vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a copy -tag:v hvc1 -color_primaries bt2020 -color_trc bt2020-10 -colorspace bt2020nc -x265-params log-level=error {out}").tags(BT709),
        made("rotated-vfr-full", "pair1.mp4", "-i {film30} -vf select=not(eq(mod(n\\,45)\\,7)),scale=out_range=pc,transpose=clock -pix_fmt yuvj420p -color_range pc -fps_mode vfr -c:v libx264 -preset ultrafast -c:a copy {dir}/turned.mp4 ; -i {dir}/turned.mp4 -c copy -metadata:s:v rotate=90 {out}").frames(near(30.0, 120)).rate(30_000, 1001).core(),
        made("interlaced-anamorphic-six", "pair2.ts", "-i {film25} -vf scale=240:180,setsar=4/3,setfield=tff -flags +ildct+ilme -c:v mpeg2video -q:v 3 -top 1 -c:a ac3 -ac 6 -b:a 384k {out}").frames(from(0, 1, 100)).rate(25, 1),
        made("hdr-portrait-late", "pair3.mkv", "-i {tall} -itsoffset 0.7 -i {tall} -map 0:v -map 1:a -vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p10le -c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -c:a copy -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc -x265-params log-level=error {out}").rungs(TALL).beeps(&[700, 1700, 2700, 3700]).tags(BT709),
        made("odd-ten-bit-later", "pair4.mkv", "-i {film} -vf scale=321:181,setsar=1 -pix_fmt yuv420p10le -c:v ffv1 -c:a copy -copyts -output_ts_offset 5 {out}"),
        made("open-gop-ts-early", "pair5.ts", "-itsoffset 0.7 -i {film} -i {film} -map 0:v -map 1:a -c:a copy -c:v libx264 -preset veryfast -x264-params open-gop=1:keyint=30:min-keyint=30:bframes=3:b-adapt=0 {out}").beeps(&[291, 1291, 2291]),
    ]
}

/// Sound that does not fit.
fn sounds() -> Vec<Case> {
    vec![
        made("late-sound", "late.mkv", "-i {film} -itsoffset 0.7 -i {film} -map 0:v -map 1:a -c copy {out}").beeps(&[700, 1700, 2700, 3700]).says(&["silence is put before it"]).core(),
        made("early-sound", "early.mp4", "-itsoffset 0.7 -i {film} -i {film} -map 0:v -map 1:a -c copy {out}").beeps(&[300, 1300, 2300]).says(&["its start is cut"]),
        made("short-sound", "short.mp4", "-i {film} -vn -c:a aac -t 2 {dir}/short.m4a ; -i {film} -i {dir}/short.m4a -map 0:v -map 1:a -c copy {out}").beeps(&[0, 1000]).says(&["silence is put behind it"]),
        made("missing-sound", "missing.mp4", "-i {film} -an -c copy {out}").sounds(&[]).beeps(&[]).says(&["no sound"]).core(),
        made("holed-sound", "holed.mkv", "-i {film} -c:v copy -af aselect=not(between(t\\,1.5\\,2.5)) -c:a pcm_s16le {out}").beeps(&[0, 1000, 3000]),
        made("mono", "mono.mp4", "-i {film} -c:v copy -c:a aac -ac 1 -ar 44100 {out}"),
        made("six-channels", "six.mkv", "-i {film} -c:v copy -c:a ac3 -ac 6 -b:a 384k {out}").core(),
        made("odd-rate", "odd-rate.mp4", "-i {film} -c:v copy -c:a aac -ar 22050 {out}"),
        made("high-rate", "high-rate.mkv", "-i {film} -c:v copy -c:a flac -ar 96000 {out}"),
        made("eac3", "eac3.mp4", "-i {film} -c:v copy -c:a eac3 -b:a 192k {out}"),
        made("languages", "languages.mkv", "-i {film} -map 0:v -map 0:a -map 0:a -map 0:a -c copy -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -metadata:s:a:2 language=eng -disposition:a:0 default -disposition:a:1 0 -disposition:a:2 comment {out}").sounds(&["a-en", "a-fr", "a-en-commentary"]).core(),
    ]
}

/// What is refused.
fn refused() -> Vec<Case> {
    vec![
        damaged("cut", "cut.mp4", "-i {film} -c copy -movflags +faststart {out}", cut_off).refused(4, "cut off").core(),
        damaged("cut-moov", "cut-moov.mp4", "-i {film} -c copy {out}", cut_off).refused(4, "cannot be read to its index"),
        damaged("cut-ts", "cut.mkv", "-i {film} -c copy {out}", cut_off).refused(4, "send"),
        damaged("bit-flipped", "flipped.mp4", "-i {film} -c copy -movflags +faststart {out}", |bytes| flipped(bytes)).refused(4, "Send a whole copy").core(),
        written("empty", "empty.mp4", b"").refused(4, "is empty"),
        written("zeros", "zeros.mp4", &[0; 50_000]).refused(3, "is not a film"),
        written("words", "words.mp4", b"These are words.\n").refused(3, "is not a film"),
        written("playlist", "playlist.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://FILM\n#EXT-X-ENDLIST\n").refused(3, "is not a film").core(),
        written("ffconcat", "list.mp4", b"ffconcat version 1.0\nfile FILM\n").refused(3, "is not a film").core(),
        written("svg", "svg.mp4", b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"320\" height=\"180\"/>").refused(3, "is not a film"),
        made("huge-picture", "huge.avi", "-f lavfi -i color=s=9000x8000:r=1:d=1 -c:v mjpeg -threads 1 {out}").refused(3, "a picture without a size, or of more than 35389440 pixels"),
        made("streams", "streams.mkv", "-i {film} -map 0:v -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -map 0:a -c copy -t 1 {out}").refused(3, "71 streams"),
        made("duration", "duration.mkv", "-i {film} -an -vf select=lt(n\\,3),settb=1,setpts=N*1000000 -fps_mode passthrough -enc_time_base 1:1 -bf 0 -c:v libx264 -preset ultrafast {out}").refused(3, "at most 172800 s"),
        made("layout-changes", "layout-changes.ts", "-i {film} -vn -t 2 -c:a ac3 -ac 2 {dir}/two.ac3 ; -ss 2 -i {film} -vn -c:a ac3 -ac 6 {dir}/six.ac3 ; -i {film} -f ac3 -i concat:{dir}/two.ac3|{dir}/six.ac3 -map 0:v -map 1:a -c copy {out}").refused(3, "its channels, rate or samples change").core(),
        made("slant", "slant.mp4", "-i {film} -c copy -metadata:s:v rotate=45 {out}").refused(3, "rotated by 45 degrees"),
        made("sound-alone", "sound.m4a", "-i {film} -vn -c copy {out}").refused(3, "no moving picture"),
    ]
}

fn cut_off(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() * 7 / 10);
}

fn flipped(bytes: &mut [u8]) {
    let at = bytes.len() * 6 / 10;
    bytes[at..at + 3000].iter_mut().for_each(|byte| *byte ^= 0x55);
}
