"""What SQL Server's Database Mail says: the dialogue of .NET's System.Net.Mail.SmtpClient with EnableSsl and a password.

usage: database_mail.py HOST PORT AUTHORITY USER PASSWORD RECIPIENT SAMPLE

The facts, from dotnet/runtime, src/libraries/System.Net.Mail/src/System/Net/Mail:
- SmtpConnection.cs: one command at a time; EHLO, STARTTLS, EHLO again, then AUTH; keywords in any case.
- SmtpLoginAuthenticationModule.cs, SmtpCommands.cs: `AUTH login ` in lower case with the user name in base64 behind it,
  and the password in base64 after the first 334.
- SmtpCommands.cs: `MAIL FROM:<..>` without a blank; the content ends in CRLF.CRLF whatever its last line; QUIT, and the
  connection is closed without waiting for the reply.
"""

import base64
import pathlib
import socket
import ssl
import sys

HOST, PORT, AUTHORITY, USER, PASSWORD, RECIPIENT, SAMPLE = sys.argv[1:]


class Dialogue:
    def __init__(self, stream):
        self.stream = stream
        self.lines = stream.makefile("rb")

    def reply(self, expected):
        lines = []
        while True:
            line = self.lines.readline().decode()
            assert line.startswith(expected), (expected, line)
            lines.append(line[4:].strip())
            if line[3:4] == " ":
                return lines

    def say(self, command, expected):
        self.stream.sendall(command.encode() + b"\r\n")
        return self.reply(expected)


def main():
    plain = socket.create_connection((HOST, int(PORT)), timeout=60)
    clear = Dialogue(plain)
    clear.reply("220")
    keywords = clear.say("EHLO SQL01", "250")
    assert any(keyword.lower() == "starttls" for keyword in keywords), keywords
    clear.say("STARTTLS", "220")
    trusted = ssl.create_default_context(cafile=AUTHORITY)
    secure = Dialogue(trusted.wrap_socket(plain, server_hostname=HOST))
    keywords = secure.say("EHLO SQL01", "250")
    offers = [keyword for keyword in keywords if keyword.lower().startswith("auth ")]
    assert "login" in offers[0].lower().split(" "), offers
    # 334 VXNlcm5hbWU6 is what others ask for; the client reads no more of it than the code.
    secure.say("AUTH login " + base64.b64encode(USER.encode()).decode(), "334")
    secure.say(base64.b64encode(PASSWORD.encode()).decode(), "235")
    secure.say("MAIL FROM:<joe@contoso.com>", "250")
    secure.say(f"RCPT TO:<{RECIPIENT}>", "250")
    secure.say("DATA", "354")
    content = pathlib.Path(SAMPLE).read_bytes().removesuffix(b"\r\n")
    secure.stream.sendall(content.replace(b"\r\n.", b"\r\n.."))
    secure.say("\r\n.", "250")
    secure.stream.sendall(b"QUIT\r\n")
    secure.stream.close()


main()
