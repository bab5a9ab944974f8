"""Python's smtplib as an application uses it: one session over STARTTLS with a password.

usage: smtplib_client.py HOST PORT AUTHORITY USER PASSWORD SAMPLES
SAMPLES is a folder of N.eml, which go to N@example.com.
"""

import email.policy
import pathlib
import smtplib
import ssl
import sys
from email.message import EmailMessage

HOST, PORT, AUTHORITY, USER, PASSWORD, SAMPLES = sys.argv[1:]
JOE = "joe@contoso.com"


def main():
    trusted = ssl.create_default_context(cafile=AUTHORITY)
    with smtplib.SMTP(HOST, int(PORT), "application.test", timeout=60) as client:
        client.ehlo()
        assert not client.has_extn("auth"), "a password is asked for in clear"
        client.starttls(context=trusted)
        client.login(USER, PASSWORD)
        for sample in sorted(pathlib.Path(SAMPLES).glob("*.eml")):
            refused = client.sendmail(
                JOE, [f"{sample.stem}@example.com"], sample.read_bytes(), ["BODY=8BITMIME"]
            )
            assert refused == {}, refused
        refused_recipients(client)
        international(client)
        assert client.verify("jane@example.com")[0] == 252
        assert client.noop()[0] == 250


def refused_recipients(client):
    """Some refused: the others get the message. All refused: an error, and the session goes on."""
    content = b"Subject: some\r\n\r\n"
    refused = client.sendmail(JOE, ["some@example.com", "no domain", "a@b@c"], content)
    assert set(refused) == {"no domain", "a@b@c"}, refused
    for code, _ in refused.values():
        assert code == 501, refused
    try:
        client.sendmail(JOE, ["no domain"], content)
    except smtplib.SMTPRecipientsRefused as error:
        assert set(error.recipients) == {"no domain"}, error.recipients
    else:
        raise AssertionError("nobody was refused")


def international(client):
    message = EmailMessage(policy=email.policy.SMTPUTF8)
    message["From"] = "jürgen@contoso.com"
    message["To"] = "jörg@example.com"
    message["Subject"] = "Grüße"
    message.set_content("Schöne Grüße\n", cte="8bit")
    assert client.send_message(message) == {}


main()
