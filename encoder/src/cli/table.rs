//! The queue as a table for people.

use std::fmt::Write;

use headwater_encoder::job::{JobState, Kind, State, Task};
use headwater_encoder::queue::{Depth, JobView, Told};

/// Jobs, a line each.
pub fn jobs(views: &[JobView], now_ms: i64) -> String {
    let mut text = format!(
        "{:36}  {:20}  {:8}  {:10}  {:>5}  {:>9}  {:>8}\n",
        "JOB", "TITLE", "PRIORITY", "STATE", "DONE", "FRAMES/S", "LEFT"
    );
    for view in views {
        let job = &view.job;
        let _ = writeln!(
            text,
            "{:36}  {:20.20}  {:8}  {:10}  {:>5}  {:>9}  {:>8}  {}",
            job.version.to_string(),
            job.title.as_str(),
            job.priority.as_str(),
            job.state.as_str(),
            percent(view),
            frames_per_s(view, now_ms).map_or("-".to_owned(), |rate| rate.to_string()),
            left_s(view, now_ms).map_or("-".to_owned(), clock),
            job.superseded_by.map_or_else(
                || job.fault.as_ref().map_or("", |fault| first_line(&fault.text)).to_owned(),
                |by| format!("by {by}"),
            ),
        );
    }
    text
}

/// What waits for which build of tools: what no worker has would wait for ever.
pub fn tools(depth: &Depth) -> String {
    let named = depth.tools.iter().filter(|(tool, _)| !tool.is_empty());
    named.fold(String::new(), |mut text, (tool, tasks)| {
        let _ = writeln!(text, "{tasks} tasks wait for {tool}");
        text
    })
}

/// A job with its tasks and its story.
pub fn job(view: &JobView, tasks: &[Task], story: &[Told], now_ms: i64) -> String {
    let mut text = jobs(std::slice::from_ref(view), now_ms);
    let _ = writeln!(
        text,
        "\n{:8}  {:>5}  {:9}  {:>7}  {:>17}  WORKER",
        "TASK", "INDEX", "STATE", "ATTEMPT", "MADE"
    );
    let tool = tasks.iter().find(|task| !task.tool.is_empty());
    for task in tasks {
        let _ = writeln!(
            text,
            "{:8}  {:>5}  {:9}  {:>7}  {:>17}  {}{}",
            task.key.kind.as_str(),
            task.key.index,
            task.state.as_str(),
            task.attempt,
            made(task),
            task.worker,
            task.fault.as_ref().map_or(String::new(), |f| format!("  {}", first_line(&f.text))),
        );
    }
    if let Some(task) = tool {
        let _ = writeln!(text, "chunks and sound are made with {}", task.tool);
    }
    let _ = writeln!(text);
    for told in story {
        let since_s = (told.at_ms - view.job.submitted_ms) / 1_000;
        let _ = writeln!(text, "{:>8}  {}  {}", clock(since_s), told.what, first_line(&told.text));
    }
    text
}

/// Frames of pictures; of a sound, which has many frames of its own, the title's fragments that are committed.
fn made(task: &Task) -> String {
    match (task.key.kind, task.state) {
        (Kind::Plan | Kind::Publish, _) => "-".to_owned(),
        (Kind::Audio, _) => format!("{}/{} GOPs", task.reached, task.fragments.end),
        (Kind::Chunk, State::Done) => format!("{0}/{0}", task.frames),
        (Kind::Chunk, _) => format!("{}/{}", task.progress.frames, task.frames),
    }
}

fn percent(view: &JobView) -> String {
    match (view.job.state, view.tally.frames) {
        (JobState::Published | JobState::Superseded, _) => "100%".to_owned(),
        (_, 0) => "-".to_owned(),
        // Until it is published it is not done.
        (_, frames) => format!("{}%", (view.tally.frames_made * 100 / frames).min(99)),
    }
}

/// Frames of all renditions together count once.
fn frames_per_s(view: &JobView, now_ms: i64) -> Option<i64> {
    let spent_ms = view.job.ended_ms.unwrap_or(now_ms) - view.job.begun_ms?;
    let made = i64::try_from(view.tally.frames_made).ok().filter(|made| *made > 0)?;
    Some(made * 1_000 / spent_ms.max(1))
}

fn left_s(view: &JobView, now_ms: i64) -> Option<i64> {
    if view.job.state != JobState::Running {
        return None;
    }
    let rate = frames_per_s(view, now_ms).filter(|rate| *rate > 0)?;
    let left = view.tally.frames.saturating_sub(view.tally.frames_made);
    Some(i64::try_from(left).ok()? / rate)
}

fn clock(seconds: i64) -> String {
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or("");
    &line[..line.floor_char_boundary(120)]
}
