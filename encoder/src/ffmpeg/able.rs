//! Whether the ffmpeg at hand can carry out a plan: its encoders and filters by its own lists, and
//! by a trial whether it keeps what HDR10 says of its master. (5.1 loses that in HEVC, silently.)

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use headwater_config::{AudioCodec, VideoCodec};

use super::command::{args, file_url, guarded};
use super::sandbox::Limits;
use super::{Tools, patient, run};
use crate::cancel::Cancel;
use crate::error::Error;
use crate::ladder::Look;
use crate::limits;
use crate::plan::{Plan, RAW};
use crate::source::Light;
use crate::work::Work;

impl Tools {
    /// Refuses a plan that needs an encoder or a filter that this ffmpeg lacks.
    pub async fn is_able(&self, plan: &Plan, cancel: &Cancel) -> Result<(), Error> {
        let (encoders, filters) = needs(plan);
        if encoders.is_empty() && filters.is_empty() {
            return Ok(());
        }
        let has_encoders = self.names("-encoders", cancel).await?;
        let has_filters = self.names("-filters", cancel).await?;
        let lacks = |name: &&&str| !has_encoders.contains(**name) && !has_filters.contains(**name);
        match encoders.iter().chain(&filters).find(lacks) {
            None => Ok(()),
            Some(name) => Err(Error::tool(format!(
                "recipe {} needs {name}, which {} has not; name another with `encoder.ffmpeg`, or \
                 take what needs it out of the recipe",
                plan.recipe.name,
                self.ffmpeg.display()
            ))),
        }
    }

    /// Refuses to keep PQ where the source says how bright its master was and this ffmpeg would lose
    /// that. Tried out in a folder of its own in `work_dir`.
    pub async fn keeps_hdr(
        &self,
        plan: &Plan,
        work_dir: &Path,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        if plan.source.video.light != Light::Pq {
            return Ok(());
        }
        let kept = plan.rungs.iter().filter(|rung| rung.look == Look::Hdr);
        let codecs: BTreeSet<VideoCodec> = kept.map(|rung| rung.codec).collect();
        if codecs.is_empty()
            || !self.says_its_master(&plan.input, plan.source.video.index, cancel).await?
        {
            return Ok(());
        }
        std::fs::create_dir_all(work_dir).map_err(|e| Error::storage(work_dir.display(), e))?;
        // Swept like any other where this process is killed meanwhile.
        let work = Work::scratch(work_dir)?;
        let tried = self.keeps_hdr_in(plan, codecs, work.folder(), cancel).await;
        work.remove()?;
        tried
    }

    async fn keeps_hdr_in(
        &self,
        plan: &Plan,
        codecs: BTreeSet<VideoCodec>,
        folder: &Path,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.sandbox.admit(folder)?;
        for codec in codecs {
            if !self.keeps_master(codec, folder, cancel).await? {
                let version = self.version(cancel).await?;
                return Err(Error::tool(format!(
                    "recipe {} keeps HDR10, but this ffmpeg loses how bright its master was \
                     (SMPTE ST 2086), and players would guess: {version}. Use a newer one \
                     (`encoder.ffmpeg`; 7.1 and later keep it), or hdr = false",
                    plan.recipe.name
                )));
            }
        }
        Ok(())
    }

    async fn keeps_master(
        &self,
        codec: VideoCodec,
        folder: &Path,
        cancel: &Cancel,
    ) -> Result<bool, Error> {
        let folder = folder.join(RAW);
        let (master, kept) = (folder.join("master.mkv"), folder.join("kept.mkv"));
        let limits = Limits { file_bytes: limits::TEXT_BYTES, ..Limits::headers() };
        for command in [film(codec, &master), again(&master, codec, &kept)] {
            let end = self.watch(command, limits, cancel, &mut |_| {}).await?;
            end.success("ffmpeg")?;
        }
        self.says_its_master(&kept, 0, cancel).await
    }

    /// Whether the first frame of a film's stream says how bright its master was.
    async fn says_its_master(
        &self,
        film: &Path,
        stream: u32,
        cancel: &Cancel,
    ) -> Result<bool, Error> {
        let mut is_said = false;
        let mut look = |line: &str| {
            is_said |= line.contains("Mastering display metadata");
            Ok(true)
        };
        let mut said =
            args(&["-v", "error", "-threads", "1", "-select_streams", &stream.to_string()]);
        said.extend(args(&["-read_intervals", "%+#1", "-show_frames"]));
        said.extend(args(&["-show_entries", "frame=side_data_list"]));
        said.extend(guarded());
        said.push(file_url(film));
        let held = self.held(Limits::headers());
        let watch = patient(limits::PROBE_TIME, cancel);
        let end = run::run(&self.ffprobe, said, held, watch, &mut look).await?;
        end.success("ffprobe")?;
        Ok(is_said)
    }

    /// The second word of each line of a list of ffmpeg's.
    async fn names(&self, list: &str, cancel: &Cancel) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        let mut take = |line: &str| {
            if names.len() < limits::LISTED_NAMES {
                names.extend(line.split_whitespace().nth(1).map(str::to_owned));
            }
            Ok(true)
        };
        let held = self.held(Limits::headers());
        let watch = patient(limits::PROBE_TIME, cancel);
        run::run(&self.ffmpeg, args(&["-hide_banner", list]), held, watch, &mut take).await?;
        Ok(names)
    }
}

/// Encoders and filters that not every ffmpeg has.
fn needs(plan: &Plan) -> (Vec<&'static str>, Vec<&'static str>) {
    let codecs: BTreeSet<VideoCodec> = plan.rungs.iter().map(|rung| rung.codec).collect();
    let encoders = codecs.into_iter().filter_map(|codec| match codec {
        VideoCodec::H264 => None,
        VideoCodec::Hevc => Some("libx265"),
        VideoCodec::Av1 => Some("libsvtav1"),
    });
    let filters = match plan.source.video.light {
        Light::Sdr => &[][..],
        Light::Wide => &["zscale"],
        Light::Pq | Light::Hlg => &["zscale", "tonemap"],
    };
    let codecs: BTreeSet<AudioCodec> = plan.sounds.iter().map(|sound| sound.codec).collect();
    let of_sound = codecs.into_iter().filter_map(|codec| match codec {
        AudioCodec::Aac | AudioCodec::Dolby => None,
        AudioCodec::HeAac => Some("libfdk_aac"),
        AudioCodec::Opus => Some("libopus"),
    });
    (encoders.chain(of_sound).collect(), filters.to_vec())
}

/// A frame that says how bright its master was, by the encoder's own means.
fn film(codec: VideoCodec, into: &Path) -> Vec<OsString> {
    let mut all = args(&["-nostdin", "-v", "error", "-y", "-progress", "pipe:1", "-f", "lavfi"]);
    all.extend(args(&["-i", "color=gray:s=64x64:r=1:d=1", "-pix_fmt", "yuv420p10le"]));
    let master = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
    let svt_master = "G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000.0,0.0001)";
    all.extend(args(&["-c:v", library(codec)]));
    all.extend(match codec {
        VideoCodec::Av1 => {
            args(&["-svtav1-params", &format!("lp=1:mastering-display={svt_master}")])
        }
        VideoCodec::H264 | VideoCodec::Hevc => {
            let said = format!("log-level=none:pools=1:master-display={master}:max-cll=1000,400");
            args(&["-x265-params", &said])
        }
    });
    all.push(file_url(into));
    all
}

/// The same frame, coded again as a rung is.
fn again(from: &Path, codec: VideoCodec, into: &Path) -> Vec<OsString> {
    let mut all = args(&["-nostdin", "-v", "error", "-y", "-progress", "pipe:1"]);
    all.extend(guarded());
    all.push("-i".into());
    all.push(file_url(from));
    all.extend(args(&["-pix_fmt", "yuv420p10le", "-c:v", library(codec)]));
    all.extend(match codec {
        VideoCodec::Av1 => args(&["-svtav1-params", "lp=1"]),
        VideoCodec::H264 | VideoCodec::Hevc => args(&["-x265-params", "log-level=none:pools=1"]),
    });
    all.push(file_url(into));
    all
}

fn library(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::Av1 => "libsvtav1",
        VideoCodec::H264 | VideoCodec::Hevc => "libx265",
    }
}
