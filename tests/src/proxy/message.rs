//! HTTP/1.1 messages: whole requests and responses, read and written.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// A whole request or response.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) first: String,
    /// Headers with their names in lower case, without `connection` and `content-length`.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// `true` if the message has the header `connection: close`.
    pub(super) closes: bool,
    /// `true` if the message is written without its last two bytes.
    pub(super) is_truncated: bool,
}

impl Message {
    /// Creates a response of the proxy itself.
    pub(super) fn made_up(status: u16, content_type: &str, body: &str) -> Message {
        Message {
            first: format!("HTTP/1.1 {status} Made up"),
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.as_bytes().to_vec(),
            closes: true,
            is_truncated: false,
        }
    }

    /// Reads a message. Returns `None` if the connection has ended.
    pub(super) async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let mut message = Message {
            first: line.trim_end().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            closes: false,
            is_truncated: false,
        };
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            match name.as_str() {
                "connection" => message.closes = value.eq_ignore_ascii_case("close"),
                "content-length" => message.body = vec![0; value.parse().map_err(io::Error::other)?],
                "transfer-encoding" => return Err(io::Error::other("chunked bodies are not supported")),
                _ => message.headers.push((name, value)),
            }
        }
        stream.read_exact(&mut message.body).await?;
        Ok(Some(message))
    }

    /// Returns the bytes of the message, with `connection: close` if the connection ends with it.
    pub(super) fn bytes(&self, closes: bool) -> Vec<u8> {
        let mut head = format!("{}\r\ncontent-length: {}\r\n", self.first, self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if closes {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(&self.body);
        if self.is_truncated {
            bytes.truncate(bytes.len().saturating_sub(2));
        }
        bytes
    }
}
