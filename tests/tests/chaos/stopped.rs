//! A publisher that stands still inside its work, and goes on after another one was given it.

use headwater_tests::s3::Server;
use rustix::process::Signal;

use crate::films;
use crate::process::Process;
use crate::site::{Site, wait_until};

/// Stopped inside its PUT of heads, and of the pointer itself: the server has the bytes, and the process
/// learns of that when another one has published the title.
#[test]
fn a_publisher_stopped_inside_its_put_spoils_nothing() {
    let quiet = Site::new();
    quiet.submit(&films::tiny()[0], "film");
    quiet.drain();
    let site = Site::new().with_server(Server::start());
    let one = ["HEADWATER_ENCODER__QUEUE__PARALLEL"].map(|name| (name, "1"));
    std::thread::scope(|scope| {
        for at in ["heads.bin", "title.json"] {
            let (site, quiet) = (&site, &quiet);
            scope.spawn(move || {
                let title = format!("film-{}", &at[..5]);
                // Of a queue of its own: who works on what is drawn by nobody.
                let queue = site.path(&format!("{title}.sqlite"));
                let env = [("HEADWATER_ENCODER__QUEUE__SQLITE", queue.to_str().unwrap()), one[0]];
                let ask = |args: &[&str]| site.ask_with(args, &env);
                let film = films::tiny()[0].to_str().unwrap();
                let id = ask(&["submit", film, "--title", &title])["id"].clone();
                let id = id.as_str().unwrap().to_owned();
                let first = Process::start(site, &format!("{title}-one"), &["worker"], &env);
                first.way().stop(first.id(), at);
                wait_until("a publisher in its PUT", || first.way().stopped_at().is_some());
                let _second = Process::start(site, &format!("{title}-two"), &["worker"], &env);
                let publisher = || {
                    let job = ask(&["jobs", &id]);
                    let tasks = job["task_list"].as_array().unwrap();
                    tasks.iter().find(|task| task["kind"] == "publish").unwrap().clone()
                };
                wait_until("another publisher's title", || publisher()["state"] == "done");
                let done = publisher();
                assert!(done["attempt"].as_u64().unwrap() >= 2, "{done:#}");
                let live = site.live(&title).unwrap().unwrap();
                let heads = site.heads(&title, live).unwrap();
                first.send(Signal::CONT);
                // It finds out, and takes the next job.
                let next = format!("{title}-next");
                ask(&["submit", film, "--title", &next]);
                wait_until("the next title", || site.live(&next).unwrap().is_some());
                assert_eq!(live.to_string(), id);
                assert_eq!(site.live(&title).unwrap(), Some(live));
                assert!(site.heads(&title, live).unwrap() == heads);
                assert!(site.tracks(&title) == quiet.tracks("film"), "{at}");
                assert_eq!(publisher()["attempt"], done["attempt"], "it is done once");
            });
        }
    });
}
