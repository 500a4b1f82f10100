package pull

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/haechi-dev/haechi/word/fault"
)

const zapPage = 500

// zapAlert is an alert as the API has it: one for each address.
type zapAlert struct {
	PluginID    string            `json:"pluginId"`
	AlertRef    string            `json:"alertRef"`
	Alert       string            `json:"alert"`
	Name        string            `json:"name"`
	Risk        string            `json:"risk"`
	Confidence  string            `json:"confidence"`
	Description string            `json:"description"`
	Solution    string            `json:"solution"`
	Reference   string            `json:"reference"`
	Other       string            `json:"other"`
	CWE         string            `json:"cweid"`
	WASC        string            `json:"wascid"`
	SourceID    string            `json:"sourceid"`
	URL         string            `json:"url"`
	Method      string            `json:"method"`
	Param       string            `json:"param"`
	Attack      string            `json:"attack"`
	Evidence    string            `json:"evidence"`
	Tags        map[string]string `json:"tags"`
}

// The same as ZAP's report has it: one alert for a site, with its instances.
type (
	zapReport struct {
		Program string     `json:"@programName"`
		Version string     `json:"@version"`
		Site    []*zapSite `json:"site"`
	}
	zapSite struct {
		Name   string      `json:"@name"`
		Host   string      `json:"@host"`
		Port   string      `json:"@port"`
		SSL    string      `json:"@ssl"`
		Alerts []*zapGroup `json:"alerts"`
		byRef  map[string]*zapGroup
	}
	zapGroup struct {
		PluginID   string        `json:"pluginid"`
		AlertRef   string        `json:"alertRef,omitzero"`
		Alert      string        `json:"alert"`
		Name       string        `json:"name"`
		RiskCode   string        `json:"riskcode"`
		Confidence string        `json:"confidence"`
		RiskDesc   string        `json:"riskdesc"`
		Desc       string        `json:"desc"`
		Instances  []zapInstance `json:"instances"`
		Count      string        `json:"count"`
		Solution   string        `json:"solution"`
		OtherInfo  string        `json:"otherinfo"`
		Reference  string        `json:"reference"`
		CWE        string        `json:"cweid"`
		WASC       string        `json:"wascid"`
		SourceID   string        `json:"sourceid"`
		Tags       []zapTag      `json:"tags,omitzero"`
	}
	zapInstance struct {
		URI       string `json:"uri"`
		Method    string `json:"method"`
		Param     string `json:"param"`
		Attack    string `json:"attack"`
		Evidence  string `json:"evidence"`
		OtherInfo string `json:"otherinfo"`
	}
	zapTag struct {
		Tag  string `json:"tag"`
		Link string `json:"link"`
	}
)

// zap fetches the alerts of a running ZAP.
func zap(ctx context.Context, s Server, site, _ string, create func(string) (io.WriteCloser, error)) ([]Fetched, error) {
	c, err := s.caller(func(r *http.Request, key string) { r.Header.Set("X-ZAP-API-Key", key) })
	if err != nil {
		return nil, err
	}
	report := &zapReport{Program: "ZAP"}
	var version struct {
		Version string `json:"version"`
	}
	if err := c.get(ctx, "JSON/core/view/version/", nil, &version); err != nil {
		return nil, err
	}
	report.Version = version.Version
	got, err := report.fetch(ctx, c, site)
	if err != nil {
		return nil, err
	}
	if got.Partial == "" {
		if got.Partial, err = zapBusy(ctx, c); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(report, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fault.Invalid.Errorf("the alerts are no text: %w", err)
	}
	w, err := create("zap")
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	return []Fetched{got}, cmp.Or(err, w.Close())
}

func (z *zapReport) fetch(ctx context.Context, c *caller, site string) (got Fetched, err error) {
	query := url.Values{}
	if site != "" {
		query.Set("baseurl", site)
	}
	total, err := zapCount(ctx, c, query)
	if err != nil {
		return got, err
	}
	sites := map[string]*zapSite{}
	for {
		q := with(with(query, "start", strconv.Itoa(got.Records)), "count", strconv.Itoa(zapPage))
		var page struct {
			Alerts []zapAlert `json:"alerts"`
		}
		if err := c.get(ctx, "JSON/alert/view/alerts/", q, &page); err != nil {
			return got, err
		}
		for i := range page.Alerts {
			z.add(sites, &page.Alerts[i])
		}
		if got.Records += len(page.Alerts); len(page.Alerts) == 0 || got.Records >= total {
			break
		}
	}
	for _, s := range z.Site {
		for _, g := range s.Alerts {
			g.Count = strconv.Itoa(len(g.Instances))
		}
	}
	switch now, err := zapCount(ctx, c, query); {
	case err != nil:
		return got, err
	case got.Records != now || got.Records != total:
		got.Partial = fmt.Sprintf("%d alerts could be fetched of %d", got.Records, max(now, total))
	}
	return got, nil
}

func zapCount(ctx context.Context, c *caller, query url.Values) (int, error) {
	var count struct {
		Number string `json:"numberOfAlerts"`
	}
	if err := c.get(ctx, "JSON/alert/view/numberOfAlerts/", query, &count); err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(count.Number)
	if err != nil || n < 0 {
		return 0, fault.Invalid.Errorf("%s: %.40q is not how many alerts there are", c.where("JSON/alert/view/numberOfAlerts/"), count.Number)
	}
	return n, nil
}

// zapBusy tells whether ZAP is still looking.
func zapBusy(ctx context.Context, c *caller) (string, error) {
	var passive struct {
		Records string `json:"recordsToScan"`
	}
	var active struct {
		Scans []struct {
			State string `json:"state"`
		} `json:"scans"`
	}
	if err := c.get(ctx, "JSON/pscan/view/recordsToScan/", nil, &passive); err != nil {
		return "", err
	}
	if passive.Records != "0" && passive.Records != "" {
		return "ZAP has " + passive.Records + " records to look at yet", nil
	}
	if err := c.get(ctx, "JSON/ascan/view/scans/", nil, &active); err != nil {
		return "", err
	}
	for _, s := range active.Scans {
		if s.State == "RUNNING" || s.State == "PAUSED" || s.State == "NOT_STARTED" {
			return "an active scan is " + strings.ToLower(s.State), nil
		}
	}
	return "", nil
}

var (
	zapRisks       = map[string]string{"Informational": "0", "Low": "1", "Medium": "2", "High": "3"}
	zapConfidences = map[string]string{"False Positive": "0", "Low": "1", "Medium": "2", "High": "3", "Confirmed": "4", "User Confirmed": "4"}
)

func (z *zapReport) add(sites map[string]*zapSite, a *zapAlert) {
	name, host, port, ssl := zapSiteOf(a.URL)
	s := sites[name]
	if s == nil {
		s = &zapSite{Name: name, Host: host, Port: port, SSL: ssl, Alerts: []*zapGroup{}, byRef: map[string]*zapGroup{}}
		sites[name] = s
		z.Site = append(z.Site, s)
	}
	ref := cmp.Or(a.AlertRef, a.PluginID) + "\n" + cmp.Or(a.Name, a.Alert) + "\n" + a.Risk
	g := s.byRef[ref]
	if g == nil {
		g = &zapGroup{PluginID: a.PluginID, AlertRef: a.AlertRef, Alert: a.Alert, Name: cmp.Or(a.Name, a.Alert), RiskCode: zapRisks[a.Risk], Confidence: zapConfidences[a.Confidence],
			RiskDesc: a.Risk + " (" + a.Confidence + ")", Desc: a.Description, Solution: a.Solution, OtherInfo: a.Other, Reference: a.Reference, CWE: a.CWE, WASC: a.WASC, SourceID: a.SourceID}
		for _, tag := range sortedKeys(a.Tags) {
			g.Tags = append(g.Tags, zapTag{tag, a.Tags[tag]})
		}
		s.byRef[ref] = g
		s.Alerts = append(s.Alerts, g)
	}
	g.Instances = append(g.Instances, zapInstance{a.URL, a.Method, a.Param, a.Attack, a.Evidence, a.Other})
}

// zapSiteOf is the site of an address, as ZAP's report names it.
func zapSiteOf(address string) (name, host, port, ssl string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address, "", "", "false"
	}
	ssl = strconv.FormatBool(u.Scheme == "https")
	port = cmp.Or(u.Port(), map[string]string{"https": "443"}[u.Scheme], "80")
	return u.Scheme + "://" + u.Host, u.Hostname(), port, ssl
}
