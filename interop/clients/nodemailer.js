// nodemailer as a web application uses it: a pool of connections over STARTTLS with a password, many messages at once.
//
// usage: nodemailer.js HOST PORT AUTHORITY USER PASSWORD SAMPLES
// SAMPLES is a folder of N.eml, which go to N@example.com.

const assert = require("assert");
const fs = require("fs");
const path = require("path");
const nodemailer = require("nodemailer");

const [host, port, authority, user, pass, samples] = process.argv.slice(2);

async function main() {
    const transport = nodemailer.createTransport({
        pool: true,
        maxConnections: 3,
        maxMessages: 4,
        name: "application.test",
        host,
        port,
        requireTLS: true,
        tls: { ca: fs.readFileSync(authority) },
        auth: { user, pass },
    });
    await transport.verify();
    const files = fs.readdirSync(samples).filter((file) => file.endsWith(".eml"));
    await Promise.all(files.map((file) => transport.sendMail({
        envelope: { from: "joe@contoso.com", to: [`${path.basename(file, ".eml")}@example.com`] },
        raw: fs.readFileSync(path.join(samples, file)),
    })));
    const sent = await transport.sendMail({
        from: "Jürgen <joe@contoso.com>",
        to: ["jörg@example.com", "Jane <attached@example.com>"],
        subject: "Grüße",
        text: ".\r\n..\r\n.",
        html: "<p>.</p>",
        attachments: [{ filename: "ü.bin", content: Buffer.from([0, 46, 13, 10, 46, 13, 10, 255]) }],
        dsn: { id: "some id", return: "headers", notify: ["failure"], recipient: "joe@contoso.com" },
    });
    assert.deepStrictEqual(sent.rejected, []);
    assert.strictEqual(sent.accepted.length, 2);
    const partly = await transport.sendMail({
        envelope: { from: "joe@contoso.com", to: ["some@example.com", "no-domain@"] },
        raw: "Subject: some\r\n\r\n",
    });
    assert.deepStrictEqual(partly.rejected, ["no-domain@"]);
    transport.close();
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
