//! A source is looked at: what is in it, whether it is taken, what is to be made of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use headwater_config::Encoder;

use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::ffmpeg::Tools;
use crate::fit;
use crate::limits;
use crate::plan::Plan;
use crate::probe::Probe;
use crate::report::{Meter, Report, Stage};
use crate::scan::Scan;
use crate::source::{self, Said, Selected};
use crate::text::{Sidecar, Text};

/// What is to be looked at.
pub(crate) struct Wanted<'a> {
    /// A local file.
    pub(crate) input: &'a Path,
    /// What is said of its sounds.
    pub(crate) said: &'a [Said],
    /// Texts beside it.
    pub(crate) sidecars: &'a [Sidecar],
}

/// A source that was looked at, and what is to be made of it.
pub(crate) struct Prepared {
    pub(crate) probe: Probe,
    pub(crate) selected: Selected,
    pub(crate) scan: Scan,
    pub(crate) plan: Arc<Plan>,
    pub(crate) notices: Vec<String>,
    pub(crate) ffmpeg: String,
    pub(crate) sidecars: Vec<Text>,
}

/// Looks at what is to be encoded, and plans.
pub(crate) async fn prepare(
    wanted: &Wanted<'_>,
    tools: &Tools,
    config: &Encoder,
    report: &Arc<dyn Report>,
    cancel: &Cancel,
) -> Result<Prepared, Error> {
    let meter = Meter::start(report, Stage::Probe);
    let sidecars = beside(wanted.sidecars)?;
    let ffmpeg = tools.version(cancel).await?;
    let looked = look(wanted.input, wanted.said, tools, config, cancel).await?;
    let Looked { probe, selected, scan, plan, notices } = looked;
    notices.iter().for_each(|notice| report.notice(notice));
    meter.at(1.0);
    Ok(Prepared { probe, selected, scan, plan: Arc::new(plan), notices, ffmpeg, sidecars })
}

/// The texts beside a source, read and checked.
pub(crate) fn beside(sidecars: &[Sidecar]) -> Result<Vec<Text>, Error> {
    if sidecars.len() > limits::TEXTS {
        let (got, most) = (sidecars.len(), limits::TEXTS);
        return Err(Error::new(
            Kind::Usage,
            format!("--text {got} times, at most {most} are taken"),
        ));
    }
    let mut texts = Vec::new();
    for sidecar in sidecars {
        texts.push(sidecar.read(&texts)?);
    }
    Ok(texts)
}

/// What is found in a source, and what would be made of it.
#[derive(Debug)]
pub struct Looked {
    /// What ffprobe says.
    pub probe: Probe,
    /// The streams that are taken.
    pub selected: Selected,
    /// Its packets.
    pub scan: Scan,
    /// What would be made.
    pub plan: Plan,
    /// What the uploader should know.
    pub notices: Vec<String>,
}

/// Looks at a source and plans, or refuses it.
pub async fn look(
    input: &Path,
    said: &[Said],
    tools: &Tools,
    config: &Encoder,
    cancel: &Cancel,
) -> Result<Looked, Error> {
    let input = there(input)?;
    // ffprobe would say the same, in its own words.
    if std::fs::metadata(&input).is_ok_and(|data| data.len() == 0) {
        let text = format!("{} is empty; send the whole file", input.display());
        return Err(Error::new(Kind::SourceDamaged, text));
    }
    let probe = tools.probe(&input, cancel).await?;
    let selected = source::select(&probe, said)?;
    let (mut scan, log) = tools.scan(&input, selected.video.index, cancel).await?;
    if log.damage().is_none() && source::packets_are_doubtful(&selected.video, &scan) {
        tools.frames(&input, &selected.video, &mut scan, cancel).await?;
    }
    let (source, more) = source::measure(&probe, &selected, &scan, &log, config.gop_ms)?;
    let mut plan = Plan::new(input, source, config)?;
    tools.is_able(&plan, cancel).await?;
    tools.keeps_hdr(&plan, &config.work_dir, cancel).await?;
    let mut notices = selected.notices.clone();
    notices.extend(more);
    notices.extend(plan.notices.iter().cloned());
    if config.copy_top_rung {
        match fit::judge(&probe, &selected.video, &scan, &plan) {
            Ok(()) => plan.copy_top(),
            Err(why) => {
                let name = selected.video.describe();
                notices.push(format!("{name} is encoded in every size, not copied: {why}"));
            }
        }
    }
    notices.push(format!("plan: {}", plan.summary()));
    Ok(Looked { probe, selected, scan, plan, notices })
}

/// The absolute path of a file that can be opened.
pub(crate) fn there(input: &Path) -> Result<PathBuf, Error> {
    let unreadable = |e| Error::new(Kind::Usage, format!("{}: {e}", input.display()));
    std::fs::File::open(input).map_err(unreadable)?;
    std::path::absolute(input).map_err(unreadable)
}
