//! An ffmpeg that lies when it encodes pictures for the `n`th time, if it was told how; and says that
//! it did.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What it does instead of encoding. `outs` are its outputs.
pub const LIES: [(&str, &str); 6] = [
    // As fast as it is played, so that a second is not enough for any chunk, ended as a service
    // manager ends it: a valid, shorter file, and success.
    (
        "SIGTERM's shorter file",
        "args=(); for a; do [ \"$a\" = -i ] && args+=(-re); args+=(\"$a\"); done\n\
         ffmpeg \"${args[@]}\" & sleep 1; kill -TERM $!; wait $!; exit 0",
    ),
    (
        "too few frames",
        "args=(); for a; do case $a in *.raw.mp4) args+=(-frames:v 20);; esac; args+=(\"$a\"); done\n\
         exec ffmpeg \"${args[@]}\"",
    ),
    (
        "a valid shorter file",
        "ffmpeg \"$@\" || exit; for a in \"${outs[@]}\"; do\n\
         ffmpeg -nostdin -v error -y -i \"$a\" -c copy -t 1 -use_editlist 0 \
         -movflags +cmaf+frag_keyframe \"$a.mp4\" && mv \"$a.mp4\" \"$a\"; done; exit 0",
    ),
    ("nothing made", "exit 0"),
    ("hung", "exec sleep 1000"),
    ("dead", "kill -9 $$"),
];

/// The program, and where it writes down what it did.
pub struct Liar {
    folder: PathBuf,
}

impl Liar {
    pub fn new(folder: &Path) -> Self {
        let folder = folder.join("lies");
        fs::create_dir_all(&folder).unwrap();
        // Where we are root, ffmpeg is somebody else.
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        let text = format!(
            "#!/bin/bash\ncase \" $* \" in *' -filter_complex '*.raw.mp4*) ;; *) exec ffmpeg \"$@\";; esac\n\
             case \" $* \" in *'-c:v'*) ;; *) exec ffmpeg \"$@\";; esac\n\
             outs=(); for a; do case $a in *.raw.mp4) outs+=(\"${{a#file:}}\");; esac; done\n\
             n=0; while ! mkdir {lies}/ran-$n 2>/dev/null && [ $n -lt 5000 ]; do n=$((n+1)); done\n\
             if [ -e {lies}/lie-$n ]; then touch {lies}/told-$n; . {lies}/lie-$n; fi\n\
             exec ffmpeg \"$@\"\n",
            lies = folder.display()
        );
        let liar = Self { folder };
        fs::write(liar.program(), text).unwrap();
        fs::set_permissions(liar.program(), Permissions::from_mode(0o755)).unwrap();
        liar
    }

    pub fn program(&self) -> PathBuf {
        self.folder.join("ffmpeg-that-lies")
    }

    /// The `n`th time it lies so.
    pub fn lie(&self, n: usize, (_, how): (&str, &str)) {
        fs::write(self.folder.join(format!("lie-{n}")), how).unwrap();
    }

    /// How often it began to encode.
    pub fn runs(&self) -> usize {
        self.count("ran-")
    }

    /// How many of the lies were told.
    pub fn told(&self) -> usize {
        self.count("told-")
    }

    fn count(&self, beginning: &str) -> usize {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(beginning)).count()
    }
}
