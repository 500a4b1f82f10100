package egress

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Request is one thing that a build asked of the world.
type Request struct {
	Time     time.Time `json:"time"`
	Method   string    `json:"method"`            // CONNECT where only a tunnel was seen
	Scheme   string    `json:"scheme,omitzero"`   // http or https; "" for a tunnel
	Host     string    `json:"host"`              // as it was asked for, in lower case
	Port     int       `json:"port"`              //
	Address  string    `json:"address,omitzero"`  // that was dialled
	Path     string    `json:"path,omitzero"`     // without the query, in which secrets may stand
	Status   int       `json:"status,omitzero"`   // of the answer
	Sent     int64     `json:"sent,omitzero"`     // bytes to there: of the body, or of all in a tunnel
	Received int64     `json:"received,omitzero"` // bytes from there, likewise
	Digest   string    `json:"digest,omitzero"`   // sha256:… of the body as it came, where it came whole
	Refused  string    `json:"refused,omitzero"`  // why it went nowhere
}

// URL is what was asked for, for people.
func (r Request) URL() string {
	if r.Scheme == "" {
		return net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	}
	host := r.Host
	if r.Scheme == "http" && r.Port != 80 || r.Scheme == "https" && r.Port != 443 {
		host = net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
	}
	return r.Scheme + "://" + host + r.Path
}

// Records are what was asked for so far, in the order in which it ended. Of
// more than 10,000 the first are kept; more is how many are not.
func (p *Proxy) Records() (requests []Request, more int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.records...), p.more
}

const mostRecords = 10_000

func (p *Proxy) record(r Request) {
	p.mu.Lock()
	if len(p.records) < mostRecords {
		p.records = append(p.records, r)
	} else {
		p.more++
	}
	p.mu.Unlock()
	if p.config.Record != nil {
		p.config.Record(r)
	}
}

// counted is a body on its way: what passes is counted and hashed, and done
// is told once when it has ended, or is let go before.
type counted struct {
	io.ReadCloser
	take func(int) error // counts for the whole build
	hash hash.Hash       // or nil
	once sync.Once
	n    int64
	done func(n int64, digest string)
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	if c.hash != nil {
		c.hash.Write(b[:n])
	}
	if wrong := c.take(n); wrong != nil {
		return n, wrong
	}
	if err == io.EOF {
		digest := ""
		if c.hash != nil {
			digest = "sha256:" + hex.EncodeToString(c.hash.Sum(nil))
		}
		c.once.Do(func() { c.done(c.n, digest) })
	}
	return n, err
}

// Close ends it; what did not come to its end has no digest.
func (c *counted) Close() error {
	c.once.Do(func() { c.done(c.n, "") })
	return c.ReadCloser.Close()
}

func hashed() hash.Hash { return sha256.New() }
