package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// A file that is larger than one call is sent in parts. It is there once the
// last call has said that all of them are; before that nobody sees it.

// listed is an answer of ListObjectsV2.
type listed struct {
	XMLName   xml.Name `xml:"ListBucketResult"`
	Truncated bool     `xml:"IsTruncated"`
	Next      string   `xml:"NextContinuationToken"`
	Contents  []struct {
		Key          string    `xml:"Key"`
		LastModified time.Time `xml:"LastModified"`
		Size         int64     `xml:"Size"`
	} `xml:"Contents"`

	at time.Time // by the bucket's clock
}

type begun struct {
	XMLName xml.Name `xml:"InitiateMultipartUploadResult"`
	ID      string   `xml:"UploadId"`
}

type partDone struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
}

type whole struct {
	XMLName xml.Name   `xml:"CompleteMultipartUpload"`
	Parts   []partDone `xml:"Part"`
}

// uploads is an answer of ListMultipartUploads.
type uploads struct {
	XMLName    xml.Name `xml:"ListMultipartUploadsResult"`
	Truncated  bool     `xml:"IsTruncated"`
	NextKey    string   `xml:"NextKeyMarker"`
	NextUpload string   `xml:"NextUploadIdMarker"`
	Uploads    []struct {
		Key       string    `xml:"Key"`
		ID        string    `xml:"UploadId"`
		Initiated time.Time `xml:"Initiated"`
	} `xml:"Upload"`
}

// page is one page of the files in the bucket.
func (b *Bucket) page(ctx context.Context, after string, most int) (l listed, err error) {
	query := url.Values{"list-type": {"2"}, "prefix": {b.at.prefix + "sha256/"}, "max-keys": {strconv.Itoa(most)}}
	if after != "" {
		query.Set("continuation-token", after)
	}
	c := call{method: http.MethodGet, query: query}
	a, err := b.do(ctx, c)
	if err != nil {
		return l, err
	}
	l.at = a.time
	return l, b.read(c, a.text, &l)
}

// read reads an answer.
func (b *Bucket) read(c call, text []byte, into any) error {
	if err := xml.Unmarshal(text, into); err != nil {
		return fault.Unavailable.Errorf("%s: its answer cannot be read: %w", b.what(c), err)
	}
	return nil
}

// inParts sends a file in parts, and leaves nothing of it where that comes to nothing.
func (b *Bucket) inParts(ctx context.Context, key string, file *os.File, size int64) error {
	c := call{method: http.MethodPost, key: key, query: url.Values{"uploads": {""}}}
	a, err := b.do(ctx, c)
	if err != nil {
		return err
	}
	var u begun
	if err := b.read(c, a.text, &u); err != nil {
		return err
	}
	err = b.send(ctx, key, u.ID, file, size)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if _, e := b.do(ctx, call{method: http.MethodDelete, key: key, query: url.Values{"uploadId": {u.ID}}}); e != nil && !errors.Is(e, fault.NotFound) {
			err = fmt.Errorf("%w (and what was sent of it stays until a sweep gives it up: %w)", err, e)
		}
	}
	return err
}

func (b *Bucket) send(ctx context.Context, key, id string, file *os.File, size int64) error {
	length := max(b.part, (size+mostParts-1)/mostParts)
	parts := make([]partDone, (size+length-1)/length)
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(sideways)
	for i := range parts {
		group.Go(func() error {
			from := int64(i) * length
			section := io.NewSectionReader(file, from, min(length, size-from))
			hash := sha256.New()
			if _, err := io.Copy(hash, untilDone{within, io.NewSectionReader(section, 0, section.Size())}); err != nil {
				return err
			}
			// One that is on its way when another fails is let arrive: what a server still takes in would outlive the end of the upload.
			a, err := b.do(ctx, call{method: http.MethodPut, key: key, query: url.Values{"partNumber": {strconv.Itoa(i + 1)}, "uploadId": {id}}, body: section, sum: hex.EncodeToString(hash.Sum(nil))})
			parts[i] = partDone{i + 1, a.header.Get("ETag")}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return b.complete(ctx, key, id, parts, size)
}

// complete makes one file of the parts. The answer may be lost, or say only at
// its end that it came to nothing.
func (b *Bucket) complete(ctx context.Context, key, id string, parts []partDone, size int64) error {
	text, err := xml.Marshal(whole{Parts: parts})
	if err != nil {
		return err
	}
	c := call{method: http.MethodPost, key: key, query: url.Values{"uploadId": {id}}, body: io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))), sum: sigv4.Hash(text)}
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(b.pause(try - 1)):
			}
		}
		var a answer
		if a, err = b.do(ctx, c); errors.Is(err, fault.NotFound) { // it was done, and we did not hear of it?
			if a, e := b.do(ctx, call{method: http.MethodHead, key: key}); e == nil && a.header.Get("Content-Length") == strconv.FormatInt(size, 10) {
				return nil
			}
			return fault.Unavailable.Wrap(err)
		}
		if err != nil {
			return err
		}
		no := &refusal{what: b.what(c), status: http.StatusInternalServerError}
		if xml.Unmarshal(a.text, no) != nil {
			return nil // it is no <Error>
		}
		if err = fault.Unavailable.Wrap(no); !no.passing() {
			break
		}
	}
	return err
}

// giveUp ends uploads that were begun longer ago, and that nobody will end.
func (b *Bucket) giveUp(ctx context.Context, age time.Duration) error {
	query := url.Values{"uploads": {""}, "prefix": {b.at.prefix + "sha256/"}}
	for {
		c := call{method: http.MethodGet, query: query}
		a, err := b.do(ctx, c)
		var r *refusal
		if errors.As(err, &r) && r.status == http.StatusNotImplemented {
			return nil // a server that does not tell of them ends them itself
		}
		if err != nil {
			return err
		}
		var list uploads
		if err := b.read(c, a.text, &list); err != nil {
			return err
		}
		for _, u := range list.Uploads {
			if a.time.Sub(u.Initiated) < age || !strings.HasPrefix(u.Key, b.at.prefix+"sha256/") {
				continue
			}
			if _, err := b.do(ctx, call{method: http.MethodDelete, key: u.Key, query: url.Values{"uploadId": {u.ID}}}); err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
		}
		if !list.Truncated || list.NextKey == "" {
			return nil
		}
		query.Set("key-marker", list.NextKey)
		query.Set("upload-id-marker", list.NextUpload)
	}
}
