package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/sigv4"
	"github.com/haechi-dev/haechi/word/fault"
)

// Upload posts a file as it is, read twice and never held: once for the signature, once to send it.
func (c *Client) Upload(ctx context.Context, service, path string, file io.ReadSeeker, out any) error {
	h := sha256.New()
	size, err := io.Copy(h, file)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("reading what is to be sent: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint, "/")+path, io.NopCloser(file))
	if err != nil {
		return fault.Invalid.Errorf("%q is not an address: %w", c.Endpoint, err)
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", "application/octet-stream")
	sigv4.Signer{AccessKey: c.Key, Secret: c.Secret.Reveal(), Token: c.Token, Region: c.Region, Service: service}.Sign(r, hex.EncodeToString(h.Sum(nil)), c.Now())
	patient := *c.HTTP
	patient.Timeout = 30 * time.Minute
	response, err := patient.Do(r)
	if err != nil {
		return c.unreached(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.Endpoint, err)
	}
	if response.StatusCode/100 != 2 {
		return c.refused(response, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as Haechi does: %w", c.Endpoint, err)
	}
	return nil
}
