//! nginx and Apache, each with a test's own configuration, in its own folder, on a free port of this machine.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Certificate, Client, RequestBuilder, redirect::Policy};
use tempfile::TempDir;

use super::{PASSWORD, PATIENCE, U2};

/// `PASSWORD` as both programs store it: `openssl passwd -apr1 pw`.
const HASHED: &str = "$apr1$yjkUrLMp$Bwg3OL42LJMsThV82LMSn/";

/// Folder of Apache's modules on Debian.
const MODULES: &str = "/usr/lib/apache2/modules";

const MODULES_NEEDED: [&str; 11] = [
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_basic",
    "headers",
    "proxy",
    "proxy_http",
    "setenvif",
    "ssl",
];

/// Beginnings of the example lines that `access.mode = "proxy"` needs.
const SIGN_IN: [&str; 9] = [
    "satisfy",
    "auth_basic",
    "auth_basic_user_file",
    "proxy_set_header",
    "AuthType",
    "AuthName",
    "AuthUserFile",
    "Require",
    "RequestHeader",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Nginx,
    Apache,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Nginx => "nginx",
            Program::Apache => "apache2",
        }
    }

    /// Returns its path; Debian keeps both outside the PATH of ordinary users.
    fn place(self) -> PathBuf {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        folders.map(|folder| folder.join(self.name())).find(|file| file.is_file()).unwrap_or_else(|| {
            panic!(
                "There is no {}: these tests need it. Run `make test`, which installs it, or install Debian's nginx and \
                 apache2-bin.",
                self.name()
            )
        })
    }
}

/// Returns a port on which no one listens now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A running program. Dropping it ends the program.
pub struct Front {
    child: Child,
    port: u16,
    folder: TempDir,
    client: Client,
}

impl Front {
    /// Starts the program on `port` with the example in front of `backend`. `sign_in`: with the lines for mode =
    /// "proxy". `groups`: it reports one user as a member of a group, by the line that the example describes.
    pub async fn start(program: Program, port: u16, backend: u16, sign_in: bool, groups: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path();
        // If root starts the programs, their workers run as another user.
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("a folder that can be entered");
        fs::write(place.join("htpasswd"), format!("u1:{HASHED}\nu2:{HASHED}\n")).expect("a file of passwords");
        certificate(place);
        let example = example(program, place, backend, sign_in, groups);
        let (file, arguments) = match program {
            Program::Nginx => (nginx(place, port, &example), vec!["-e", "error.log", "-p", ".", "-c", "main.conf"]),
            Program::Apache => (apache(place, port, &example), vec!["-D", "FOREGROUND", "-d", ".", "-f", "main.conf"]),
        };
        fs::write(place.join("main.conf"), file).expect("a configuration");
        let started = Command::new(program.place())
            .args(arguments.into_iter().map(|argument| match argument {
                "." => place.display().to_string(),
                "error.log" | "main.conf" => place.join(argument).display().to_string(),
                other => other.to_owned(),
            }))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.join("stderr.log")).expect("a file"))
            .spawn();
        let authority = fs::read(place.join("tls.pem")).expect("a certificate");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(&authority).expect("a certificate")])
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let mut front = Self { child: started.expect("the program starts"), port, folder, client };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = front.child.try_wait().expect("its state").is_some();
            assert!(!ended && begun.elapsed() < PATIENCE, "{program:?} does not start: {:#?}", front.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        front
    }

    /// Returns the host that browsers request, with its port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Builds a request of a script, with the password of `name`.
    pub fn get(&self, path: &str, name: Option<&str>) -> RequestBuilder {
        let request = self.client.get(format!("https://{}{path}", self.host()));
        match name {
            Some(name) => request.basic_auth(name, Some(PASSWORD)),
            None => request,
        }
    }

    /// Builds a request of a browser.
    pub fn page(&self, path: &str, name: &str) -> RequestBuilder {
        self.get(path, Some(name)).header("Accept", "text/html,*/*;q=0.8")
    }

    pub fn post(&self, path: &str, name: &str) -> RequestBuilder {
        self.client.post(format!("https://{}{path}", self.host())).basic_auth(name, Some(PASSWORD))
    }

    /// Ends the program, and returns the names and texts of its logs.
    pub fn end(mut self) -> Vec<(String, String)> {
        self.stop();
        self.logs()
    }

    fn logs(&self) -> Vec<(String, String)> {
        let files = fs::read_dir(self.folder.path()).expect("its folder").map(|entry| entry.expect("an entry").path());
        let logs = files.filter(|file| file.extension().is_some_and(|end| end == "log"));
        let named = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        logs.map(|file| (named(&file), String::from_utf8_lossy(&fs::read(&file).expect("a log")).into_owned()))
            .collect()
    }

    /// Stops it by TERM, which makes both programs end their workers, too.
    fn stop(&mut self) {
        let number = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let (Ok(None), Some(number)) = (self.child.try_wait(), number) {
            let _ = rustix::process::kill_process(number, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Creates a certificate for this machine that is its own authority, and its key.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "tls.key", "-out", "tls.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl, which `make test` installs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Replaces a text of the example; fails if the example lacks it.
fn replaced(text: &str, said: &str, by: &str) -> String {
    assert!(text.contains(said), "the example does not say {said}");
    text.replace(said, by)
}

fn example(program: Program, folder: &Path, backend: u16, sign_in: bool, groups: bool) -> String {
    let (file, passwords) = match program {
        Program::Nginx => ("nginx.example.conf", "/etc/nginx/atomfeed-console.htpasswd"),
        Program::Apache => ("apache.example.conf", "/etc/apache2/atomfeed-console.htpasswd"),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file);
    let text = fs::read_to_string(file).expect("the example");
    let text = replaced(&text, "http://127.0.0.1:9080", &format!("http://127.0.0.1:{backend}"));
    let text = replaced(&text, passwords, &folder.join("htpasswd").display().to_string());
    let mut text = if sign_in { switched_on(&text) } else { text };
    if groups {
        // As the example describes for groups.
        text = match program {
            Program::Nginx => replaced(
                &text,
                "proxy_set_header     X-Remote-Groups \"\";",
                "proxy_set_header     X-Remote-Groups $atomfeed_console_groups;",
            ),
            Program::Apache => {
                let line =
                    format!("RequestHeader set X-Remote-Groups it-support \"expr=%{{REMOTE_USER}} in {{ '{U2}' }}\"\n");
                replaced(&text, "</Location>", &format!("{line}</Location>"))
            }
        };
    }
    text
}

/// Returns the example with its lines for mode = "proxy" enabled.
fn switched_on(text: &str) -> String {
    let mut switched = 0;
    let lines = text.lines().map(|line| {
        let meant = line.trim_start().strip_prefix("# ").filter(|rest| {
            let first = rest.split_whitespace().next().unwrap_or_default();
            line.starts_with(' ') && SIGN_IN.contains(&first)
        });
        switched += usize::from(meant.is_some());
        meant.unwrap_or(line)
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    assert!(switched >= 5, "the lines for mode = \"proxy\" were found: {text}");
    text
}

fn by_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn nginx(folder: &Path, port: u16, example: &str) -> String {
    let folder = folder.display();
    let user = if by_root() { "user www-data;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
        .join("\n");
    format!(
        "{user}\ndaemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log info;\n\
         events {{ worker_connections 256; }}\nhttp {{\n{temporary}\naccess_log {folder}/access.log;\n\
         map $remote_user $atomfeed_console_groups {{ default \"\"; {U2} \"it-support\"; }}\n\
         server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {folder}/tls.pem;\nssl_certificate_key {folder}/tls.key;\n\
         {example}\n}}\n}}\n"
    )
}

fn apache(folder: &Path, port: u16, example: &str) -> String {
    let place = folder.display();
    let user = if by_root() { "User www-data\nGroup www-data" } else { "" };
    let modules = MODULES_NEEDED.map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so")).join("\n");
    // The example has this line in a comment, for the virtual host's own location.
    let log = example.lines().find_map(|line| line.strip_prefix("# CustomLog ")).expect("a line for the log");
    let log = replaced(log, "${APACHE_LOG_DIR}/access.log", &format!("{place}/access.log"));
    format!(
        "ServerName 127.0.0.1\nPidFile {place}/pid\nDefaultRuntimeDir {place}\nListen 127.0.0.1:{port}\n{user}\n{modules}\n\
         ErrorLog {place}/error.log\nLogLevel info\n<VirtualHost 127.0.0.1:{port}>\nSSLEngine on\n\
         SSLCertificateFile {place}/tls.pem\nSSLCertificateKeyFile {place}/tls.key\nCustomLog {log}\n{example}\n</VirtualHost>\n"
    )
}
