//! A minimal HTTP client for measuring: one kept connection, GET and forms, and the time to the last byte. The work of
//! a full client would be included in the measured times.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a browser accepts on plain HTTP.
pub const AS_A_BROWSER: &str = "gzip, deflate";

/// A kept-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
    /// The cookie that the console has set, which identifies a browser.
    cookie: String,
}

/// An answer, with its body as received.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub encoding: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// Time from the first byte sent to the last byte received.
    pub took: Duration,
}

impl Answer {
    /// # Errors
    /// Fails for any status but 200: a screen that shows an error is quick, and must not be measured.
    pub fn success(self, what: &str) -> anyhow::Result<Self> {
        ensure!(self.status == 200, "{what}: status {}", self.status);
        Ok(self)
    }
}

impl Connection {
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned(), cookie: String::new() })
    }

    /// Sends a GET request as a browser on plain HTTP does.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.get_encoded(path, AS_A_BROWSER).await
    }

    pub async fn get_encoded(&mut self, path: &str, accept_encoding: &str) -> anyhow::Result<Answer> {
        timeout(PATIENCE, self.ask(path, accept_encoding))
            .await
            .with_context(|| format!("{path}: no answer in time"))?
    }

    /// Returns the token of a page's forms, and keeps the page's cookie.
    pub async fn form_token(&mut self, page: &str) -> anyhow::Result<String> {
        let answer = self.get_encoded(page, "identity").await?.success(page)?;
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        let field =
            html.split("<input").find(|field| field.contains("name=\"form_token\"")).context("no form's token")?;
        let token = field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("no token")?;
        Ok(token.to_owned())
    }

    /// Sends a form as a browser does: with the cookie and the token of one of the console's own pages.
    pub async fn post(&mut self, token: &str, path: &str, form: &str) -> anyhow::Result<Answer> {
        let form = format!("form_token={token}&{form}");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nAccept: text/html\r\nAccept-Encoding: identity\r\n\
             Cookie: {1}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {2}\r\n\r\n{form}",
            self.address,
            self.cookie,
            form.len()
        );
        timeout(PATIENCE, self.exchange(request)).await.with_context(|| format!("{path}: no answer in time"))?
    }

    async fn ask(&mut self, path: &str, accept_encoding: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nAccept-Encoding: {accept_encoding}\r\n{}\r\n",
            self.address,
            if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) },
        );
        self.exchange(request).await
    }

    async fn exchange(&mut self, request: String) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP status")?;
        let (mut length, mut chunked, mut encoding, mut location) = (None, false, None, None);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<usize>().context("content-length")?),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "set-cookie" => self.cookie = value.split(';').next().unwrap_or_default().to_owned(),
                "location" => location = Some(value.to_owned()),
                "content-encoding" => encoding = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let size = usize::from_str_radix(self.line().await?.trim(), 16).context("size of a chunk")?;
                self.read(&mut body, size).await?;
                self.line().await?;
                if size == 0 {
                    break;
                }
            }
        } else {
            self.read(&mut body, length.context("an answer without a length")?).await?;
        }
        Ok(Answer { status, encoding, location, body, took: begun.elapsed() })
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "the console closed the connection");
        Ok(line.trim_end().to_owned())
    }

    async fn read(&mut self, body: &mut Vec<u8>, size: usize) -> anyhow::Result<()> {
        let start = body.len();
        body.resize(start + size, 0);
        self.stream.read_exact(&mut body[start..]).await?;
        Ok(())
    }
}
