package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/base/outbound"
	"github.com/haechi-dev/haechi/word/fault"
)

// Feed is where data on vulnerabilities are fetched from, when somebody asks for it.
type Feed struct {
	OSV        string   // a mirror laid out as osv.dev's export, <ecosystem>/all.zip, or one zip
	Ecosystems []string // of a mirror; nil for FeedEcosystems, of which those that are not there are passed over
	KEV        string   // CISA's catalogue; "" for none
	EPSS       string   // FIRST's daily table; "" for none
	Allow      []string // addresses of the own network that may be dialled, as outbound.allow has them
}

// PublicFeed is where the data are published.
func PublicFeed() Feed {
	return Feed{
		OSV:  "https://osv-vulnerabilities.storage.googleapis.com",
		KEV:  "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
		EPSS: "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
	}
}

// FeedEcosystems are those that a scan can find components of.
func FeedEcosystems() []string {
	return []string{"npm", "Go", "PyPI", "Maven", "RubyGems", "crates.io", "Packagist", "NuGet", "Hex", "Pub", "SwiftURL", "Hackage", "CRAN", "ConanCenter", "GitHub Actions", "Bitnami",
		"Debian", "Ubuntu", "Alpine", "AlmaLinux", "Rocky Linux", "Red Hat", "SUSE", "Mageia", "Wolfi", "Chainguard"}
}

// Bounds of what is fetched, above what the sources have.
const (
	largestFeed = 4 << 30
	feedTimeout = 30 * time.Minute
)

// Fetch loads a feed into a folder, which advisory.Import reads. told is called before each file.
func (f Feed) Fetch(ctx context.Context, into string, told func(address string)) error {
	dialer, err := outbound.New(outbound.Config{Allow: f.Allow})
	if err != nil {
		return err
	}
	client := dialer.Client(feedTimeout)
	get := func(address string, file ...string) error {
		if err := dialer.Check(address); err != nil {
			return err
		}
		told(address)
		return download(ctx, client, address, filepath.Join(append([]string{into}, file...)...))
	}
	if strings.HasSuffix(f.OSV, ".zip") {
		if err := get(f.OSV, "all.zip"); err != nil {
			return err
		}
	} else if err := f.fetchEcosystems(get); err != nil {
		return err
	}
	if f.KEV != "" {
		if err := get(f.KEV, "kev.json"); err != nil {
			return err
		}
	}
	if f.EPSS != "" {
		if err := get(f.EPSS, "epss.csv"); err != nil {
			return err
		}
	}
	return nil
}

func (f Feed) fetchEcosystems(get func(address string, file ...string) error) error {
	asked := f.Ecosystems
	if asked == nil {
		asked = FeedEcosystems()
	}
	found := 0
	for _, ecosystem := range asked {
		if strings.ContainsAny(ecosystem, `/\`) || ecosystem == ".." || ecosystem == "" {
			return fault.Invalid.Errorf("there is no ecosystem %q", ecosystem)
		}
		err := get(strings.TrimSuffix(f.OSV, "/")+"/"+url.PathEscape(ecosystem)+"/all.zip", ecosystem, "all.zip")
		switch {
		case err == nil:
			found++
		case errors.Is(err, fault.NotFound) && f.Ecosystems == nil:
		default:
			return err
		}
	}
	if found == 0 {
		return fault.NotFound.Errorf("%s has no <ecosystem>/all.zip, such as npm/all.zip", f.OSV)
	}
	return nil
}

// download writes what an address answers into a file.
func download(ctx context.Context, client *http.Client, address, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fault.Invalid.Errorf("%s: %w", address, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", address, err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return fault.NotFound.Errorf("fetching %s: %s", address, response.Status)
	case response.StatusCode != http.StatusOK:
		return fault.Unavailable.Errorf("fetching %s: %s", address, response.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(response.Body, largestFeed+1))
	if closed := out.Close(); err == nil {
		err = closed
	}
	switch {
	case err != nil:
		return fmt.Errorf("fetching %s: %w", address, err)
	case n > largestFeed:
		return fault.Limit.Errorf("%s is larger than %d GB", address, largestFeed>>30)
	case response.ContentLength >= 0 && n != response.ContentLength:
		return fault.Unavailable.Errorf("fetching %s: it ended after %d of %d bytes", address, n, response.ContentLength)
	}
	return nil
}
