package route

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/word/fault"
)

func emailKind() Kind {
	return Kind{
		Name: "email", Title: "E-mail", Digest: true,
		Fields: []Field{
			{Name: "server", Required: true, Help: "the mail server's host and port, mail.example.com:587"},
			{Name: "from", Required: true, Help: "the sender's address"},
			{Name: "to", Required: true, Help: "the receivers' addresses, with commas between"},
			{Name: "user", Help: "to sign in with"},
			{Name: "password", Secret: true, Help: "to sign in with"},
			{Name: "ca", Help: "the certificate authority of the server in PEM, if it is a private one"},
			{Name: "tls", Help: "starttls (the default), implicit, or none"},
		},
		Open: openEmail,
	}
}

// email sends one mail about all items of a delivery.
type email struct {
	server, host   string
	from           *mail.Address
	to             []*mail.Address
	user, password string
	tls            string
	authorities    *x509.CertPool // nil is the system's
	env            *Env
}

func openEmail(c Receiver, env *Env) (Target, error) {
	host, _, err := net.SplitHostPort(c.Settings["server"])
	if err != nil || host == "" {
		return nil, fault.Invalid.Errorf("server %q is not host:port", c.Settings["server"])
	}
	from, err := address(c.Settings["from"])
	if err != nil {
		return nil, err
	}
	e := &email{server: c.Settings["server"], host: host, from: from, user: c.Settings["user"], password: c.Secrets["password"].Reveal(), tls: cmp.Or(c.Settings["tls"], "starttls"), env: env}
	for part := range strings.SplitSeq(c.Settings["to"], ",") {
		to, err := address(part)
		if err != nil {
			return nil, err
		}
		e.to = append(e.to, to)
	}
	if ca := c.Settings["ca"]; ca != "" {
		if e.authorities = x509.NewCertPool(); !e.authorities.AppendCertsFromPEM([]byte(ca)) {
			return nil, fault.Invalid.Errorf("ca is not a certificate in PEM")
		}
	}
	switch e.tls {
	case "starttls", "implicit":
	case "none":
		if e.password != "" {
			return nil, fault.Invalid.Errorf("a password is not sent without TLS")
		}
	default:
		return nil, fault.Invalid.Errorf("tls %q is not starttls, implicit or none", e.tls)
	}
	return e, nil
}

// address reads one mail address. What could begin another header is refused.
func address(text string) (*mail.Address, error) {
	text = strings.TrimSpace(text)
	a, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsAny(text, "\r\n\x00") {
		return nil, fault.Invalid.Errorf("%q is not a mail address", text)
	}
	return a, nil
}

// Deliver sends the mail. Its Message-ID is the delivery's, so that a repeat can be told.
func (e *email) Deliver(ctx context.Context, d Delivery) error {
	text, err := e.compose(d)
	if err != nil {
		return err
	}
	if e.env.Dial == nil {
		return fault.Unsupported.Errorf("there is no way out of here: no dialer is configured")
	}
	conn, err := e.env.Dial(ctx, "tcp", e.server)
	if err != nil {
		if fault.Of(err) == fault.Internal {
			err = fault.Unavailable.Wrap(err)
		}
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return smtpFault(e.send(conn, text))
}

func (e *email) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: e.host, RootCAs: e.authorities, MinVersion: tls.VersionTLS12}
}

func (e *email) send(conn net.Conn, text []byte) error {
	if e.tls == "implicit" {
		conn = tls.Client(conn, e.tlsConfig())
	}
	c, err := smtp.NewClient(conn, e.host)
	if err != nil {
		return err
	}
	if e.tls == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return fault.Denied.Errorf("the server offers no STARTTLS; nothing is sent in clear")
		}
		if err := c.StartTLS(e.tlsConfig()); err != nil {
			return err
		}
	}
	if e.user != "" {
		if err := c.Auth(smtp.PlainAuth("", e.user, e.password, e.host)); err != nil {
			return err
		}
	}
	if err := c.Mail(e.from.Address); err != nil {
		return err
	}
	for _, to := range e.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	// The server has it: whether it says goodbye does not matter.
	_ = c.Quit()
	return nil
}

// smtpFault sorts answers: 4xx may pass, 5xx will not.
func smtpFault(err error) error {
	var answer *textproto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		kind := fault.Unavailable
		if answer.Code >= 500 {
			kind = fault.Invalid
		}
		return &Refusal{Kind: kind, Status: answer.Code, Answer: excerpt(answer.Msg), Err: fmt.Errorf("the mail server answered %d", answer.Code)}
	case fault.Of(err) == fault.Internal:
		return fault.Unavailable.Wrap(err)
	}
	return err
}

// compose is the mail: plain text, and the same in HTML.
func (e *email) compose(d Delivery) ([]byte, error) {
	g := gather(d.Items, e.env)
	m := mailOf(&g, e.env.Link(nil))
	var b bytes.Buffer
	parts := multipart.NewWriter(&b)
	to := make([]string, len(e.to))
	for i, a := range e.to {
		to[i] = a.String()
	}
	// mime's encoding leaves no line end in a header; addresses were parsed.
	header := [][2]string{
		{"From", e.from.String()}, {"To", strings.Join(to, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", clip(oneLine(m.Headline), 200))},
		{"Date", d.Time.UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + d.ID + "@haechi>"}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "multipart/alternative; boundary=" + parts.Boundary()},
	}
	var head bytes.Buffer
	for _, h := range header {
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	head.WriteString("\r\n")
	var html bytes.Buffer
	if err := mailPage.Execute(&html, m); err != nil {
		return nil, err
	}
	for _, p := range []struct{ kind, body string }{{"text/plain", m.plain()}, {"text/html", html.String()}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {p.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write([]byte(p.body)); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	return append(head.Bytes(), b.Bytes()...), nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// mailView is what a mail shows.
type mailView struct {
	Headline string
	Entries  []mailEntry
	Rest     string
	More     string
}

type mailEntry struct{ Label, Title, Count, Where, Owner, Advice, Link string }

// mailTopics is how many topics and events a mail shows.
const mailTopics = 50

func mailOf(g *digest, more string) mailView {
	v := mailView{Headline: g.headline(), More: more}
	topics := g.topics[:min(len(g.topics), mailTopics)]
	for _, t := range topics {
		v.Entries = append(v.Entries, mailEntry{string(t.label), clip(t.title, 300), t.count(), strings.Join(t.where, ", "), strings.TrimSpace(t.account + " " + t.region), clip(t.advice, 600), t.link})
	}
	notes := g.notes[:min(len(g.notes), mailTopics-len(topics))]
	for _, n := range notes {
		label := "EVENT"
		if n.bad {
			label = "FAILED"
		}
		v.Entries = append(v.Entries, mailEntry{Label: label, Title: clip(n.title, 300), Where: clip(n.text, 2000), Link: n.link})
	}
	v.Rest = rest(g, len(topics), len(notes))
	return v
}

func (v mailView) plain() string {
	var b strings.Builder
	b.WriteString(v.Headline + "\n")
	for _, e := range v.Entries {
		b.WriteString("\n" + strings.TrimSpace(e.Label+"  "+e.Title+"  "+e.Count) + "\n")
		for _, line := range []string{e.Where, e.Owner, e.Advice, e.Link} {
			if line != "" {
				b.WriteString("    " + line + "\n")
			}
		}
	}
	for _, line := range []string{v.Rest, v.More} {
		if line != "" {
			b.WriteString("\n" + line + "\n")
		}
	}
	return b.String()
}

var mailPage = template.Must(template.New("mail").Parse(`<!DOCTYPE html>
<html><body style="font-family:sans-serif">
<h2>{{.Headline}}</h2>
{{range .Entries}}<p><b>{{.Label}}</b> {{if .Link}}<a href="{{.Link}}">{{.Title}}</a>{{else}}{{.Title}}{{end}} {{.Count}}<br>
{{with .Where}}<code>{{.}}</code><br>{{end}}{{with .Owner}}<small>{{.}}</small><br>{{end}}{{.Advice}}</p>
{{end}}{{with .Rest}}<p>{{.}}</p>{{end}}{{with .More}}<p><a href="{{.}}">Show all</a></p>{{end}}
</body></html>
`))
