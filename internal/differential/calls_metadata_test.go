package differential

import (
	"fmt"
	"strings"
)

// metadataCalls carry metadata of all kinds.
func metadataCalls() (all []call) {
	kinds := map[string][]field{
		"none":                    nil,
		"plain":                   {{"x-a", "1"}},
		"several values":          {{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}, {"x-a", "1"}},
		"comma-joined":            {{"x-a", "1,2, 3"}, {"x-a", "4"}},
		"empty value":             {{"x-a", ""}},
		"empty values":            {{"x-a", ""}, {"x-a", "1"}, {"x-a", ""}},
		"inner spaces":            {{"x-a", "a  b\tc"}},
		"leading space":           {{"x-a", " a"}},
		"trailing space":          {{"x-a", "a "}},
		"leading tab":             {{"x-a", "\ta"}},
		"latin-1":                 {{"x-a", "\xe4\xf6"}},
		"utf-8":                   {{"x-a", "\u00e4\u20ac"}},
		"delete":                  {{"x-a", "a\x7fb"}},
		"control":                 {{"x-a", "a\x01b"}},
		"nul":                     {{"x-a", "a\x00b"}},
		"line feed":               {{"x-a", "a\nb"}},
		"carriage return":         {{"x-a", "a\rb"}},
		"symbols":                 {{"x-a", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}},
		"odd names":               {{"x_a", "1"}, {"x.a", "2"}, {"x!a", "3"}, {"x~a", "4"}, {"1", "5"}},
		"long value":              {{"x-a", strings.Repeat("v", 8000)}},
		"long name":               {{"x-" + strings.Repeat("n", 2000), "1"}},
		"many":                    many(100),
		"bin padded":              {{"x-bin", "AAECAw=="}},
		"bin unpadded":            {{"x-bin", "AAECAw"}},
		"bin several":             {{"x-bin", "AAEC"}, {"x-bin", "AwQF"}},
		"bin comma-joined":        {{"x-bin", "AAEC,AwQF"}},
		"bin comma-joined padded": {{"x-bin", "AA==,AQ=="}},
		"bin empty":               {{"x-bin", ""}},
		"bin not base64":          {{"x-bin", "***"}},
		"bin wrong length":        {{"x-bin", "AAECA"}},
		"bin url-safe":            {{"x-bin", "-_-_"}},
		"upper-case name":         {{"X-A", "1"}},
		"mixed-case name":         {{"x-A", "1"}},
		"empty name":              {{"", "1"}},
		"name with a space":       {{"x a", "1"}},
		"name with a colon":       {{"x:a", "1"}},
		"name with a control":     {{"x\x01a", "1"}},
		"name that is not ASCII":  {{"x-\u00e4", "1"}},
		"reserved name":           {{"grpc-x", "1"}},
		"reserved status":         {{"grpc-status", "5"}, {"grpc-message", "no"}},
		"reserved status details": {{"grpc-status-details-bin", "AAEC"}},
		"message type":            {{"grpc-message-type", "x.Y"}},
		"previous attempts":       {{"grpc-previous-rpc-attempts", "2"}},
		"trace":                   {{"grpc-trace-bin", "AAEC"}, {"grpc-tags-bin", "AAEC"}},
		"user agent":              {{"user-agent", "grpc-go/1.85.0"}},
		"namespace":               {{"prism-namespace", "default"}},
		"authorization":           {{"authorization", "Bearer abc"}},
		"cookies":                 {{"cookie", "a=1"}, {"cookie", "b=2"}},
		"host":                    {{"host", "test.example"}},
		"another host":            {{"host", "other.example"}},
		"forwarded":               {{"x-forwarded-for", "10.0.0.1"}, {"via", "1.1 a"}},
		"expect":                  {{"expect", "100-continue"}},
		"trailer announced":       {{"trailer", "x-end"}},
		"accept":                  {{"accept", "*/*"}},
		"accept-encoding":         {{"accept-encoding", "gzip"}},
		"connect version":         {{"connect-protocol-version", "1"}},
		"wrong connect version":   {{"connect-protocol-version", "2"}},
		"content-encoding gzip":   {{"content-encoding", "gzip"}},
		"connection":              {{"connection", "close"}},
		"keep-alive":              {{"keep-alive", "1"}},
		"proxy-connection":        {{"proxy-connection", "close"}},
		"transfer-encoding":       {{"transfer-encoding", "chunked"}},
		"upgrade":                 {{"upgrade", "h2c"}},
		"te deflate":              {{"te", "deflate"}},
		"header list of 15 KiB":   {{"x-a", strings.Repeat("v", 5000)}, {"x-b", strings.Repeat("v", 5000)}, {"x-c", strings.Repeat("v", 5000)}},
		"header list of 17 KiB":   {{"x-a", strings.Repeat("v", 6000)}, {"x-b", strings.Repeat("v", 6000)}, {"x-c", strings.Repeat("v", 5400)}},
		"header list of 40 KiB":   {{"x-a", strings.Repeat("v", 20000)}, {"x-b", strings.Repeat("v", 20000)}},
	}
	for _, w := range wires() {
		for name, fields := range kinds {
			for _, method := range []string{"Unary", "Bidi"} {
				all = append(all, w.whole("metadata/"+name+" in "+method, method, w.body(method, 10), fields...))
			}
		}
		for _, most := range []int{1, 10, 50} {
			open := w.open("Unary", many(5)...)
			open.most = most
			all = append(all, call{name: fmt.Sprintf("%s/metadata/in fragments of %d", w.name, most), steps: []step{open, sendData{body: w.body("Unary", 10), end: true}}})
		}
	}
	return all
}

func many(n int) []field {
	var fields []field
	for i := range n {
		fields = append(fields, field{fmt.Sprint("x-", i), fmt.Sprint(i)})
	}
	return fields
}

// responseMetadata is what handlers put into headers and trailers.
func responseMetadata() (all []call) {
	kinds := map[string][]string{
		"plain": {"x-a", "1"}, "upper case": {"X-Upper-Case", "1"}, "empty": {"x-a", ""}, "spaces": {"x-a", " a  b "}, "comma": {"x-a", "1, 2"}, "bin": {"x-bin", "AAEC"},
		"bin padded": {"x-bin", "AA=="}, "latin-1": {"x-a", "\xe4"}, "utf-8": {"x-a", "\u00e4\u20ac"}, "line feed": {"x-a", "a\nb"}, "carriage return": {"x-a", "a\r\nx-b: 2"},
		"nul": {"x-a", "a\x00b"}, "control": {"x-a", "a\x01b"}, "name with a space": {"x a", "1"}, "name with a line feed": {"x\na", "1"}, "name that is not ASCII": {"x-\u00e4", "1"},
		"empty name": {"", "1"}, "pseudo": {":status", "404"}, "long": {"x-a", strings.Repeat("v", 20_000)}, "reserved": {"grpc-x", "1"},
		"connection": {"connection", "close"}, "date": {"date", "x"}, "cookie": {"set-cookie", "a=1"}, "cache": {"cache-control", "no-store"}, "odd": {"x_a.b!", "1"},
		"trailer prefix": {"trailer:x-a", "1"},
	}
	for _, w := range wires() {
		for name, kind := range kinds {
			for _, method := range []string{"Unary", "ServerStream"} {
				for _, last := range []string{"echo", "fail:5:no"} {
					ending, _, _ := strings.Cut(last, ":")
					all = append(all, w.whole(fmt.Sprintf("response metadata/%s/%s in %s", ending, name, method), method, w.body(method, 10),
						do("hdr:"+esc(kind[0])+":"+esc(kind[1]), "recv", last)))
					all = append(all, w.whole(fmt.Sprintf("response metadata/%s/trailer %s in %s", ending, name, method), method, w.body(method, 10),
						do("recv", "trl:"+esc(kind[0])+":"+esc(kind[1]), last)))
				}
			}
		}
		// Twice is once: the last one counts.
		all = append(all, w.whole("response metadata/set twice", "Unary", w.body("Unary", 10), do("hdr:x-a:1", "hdr:X-A:2", "trl:x-b:1", "trl:x-b:2", "recv", "echo")))
		all = append(all, w.whole("response metadata/the same name in both", "Unary", w.body("Unary", 10), do("hdr:x-a:1", "trl:x-a:2", "recv", "echo")))
		all = append(all, w.whole("response metadata/the same name in both, failing", "Unary", w.body("Unary", 10), do("hdr:x-a:1", "trl:x-a:2", "recv", "fail:5:no")))
		var lots []string
		for i := range 50 {
			lots = append(lots, fmt.Sprintf("hdr:x-h%d:%d", i, i), fmt.Sprintf("trl:x-t%d:%d", i, i))
		}
		all = append(all, w.whole("response metadata/many", "Unary", w.body("Unary", 10), do(append(lots, "recv", "echo")...)))
	}
	return all
}

// contentTypeCalls say that they carry this or that.
func contentTypeCalls() (all []call) {
	types := []string{
		"", "application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc+xml", "application/grpc+", "application/grpc;charset=utf-8", "application/grpc; a=b",
		"application/grpc;", "application/grpc ;a", "application/grpc+proto;a=b", "application/grpc+proto+x", "application/grpcx", "application/grp", "application/grpc/", "application/grpc-",
		"Application/Grpc", "APPLICATION/GRPC+PROTO", " application/grpc", "application/grpc ", "application/grpc,application/grpc", "application/grpc-web", "application/grpc-web+proto",
		"application/grpc-web+json", "application/grpc-web+thrift", "application/grpc-webx", "application/grpc-web-text", "application/grpc-web-text+proto", "application/json",
		"application/json; charset=utf-8", "application/json;charset=utf-8", "application/json;charset=UTF-8", "application/json; charset=latin1", "application/jsonx", "application/proto",
		"application/proto; a=b", "application/connect", "application/connect+proto", "application/connect+json", "application/connect+xml", "application/connect+json; charset=utf-8",
		"text/plain", "application/octet-stream", "application/x-www-form-urlencoded", "*/*", "x",
	}
	grpc := wireNamed("grpc")
	for _, contentType := range types {
		for _, method := range allShapes {
			body := grpc.body(method, 10)
			if strings.Contains(contentType, "json") {
				body = enveloped(0, []byte(`"AAEC"`))
			}
			if contentType == "application/proto" || strings.HasPrefix(contentType, "application/json") {
				body = body[5:]
			}
			all = append(all, call{name: fmt.Sprintf("content types/%q in %s", contentType, method), steps: []step{
				sendHeaders{fields: header("/"+service+"/"+method, contentType)}, sendData{body: body, end: true},
			}})
		}
		all = append(all, call{name: fmt.Sprintf("content types/%q of nothing", contentType), steps: []step{
			sendHeaders{fields: header("/"+service+"/None", contentType)}, sendData{body: grpc.body("Unary", 10), end: true},
		}})
	}
	all = append(all, call{name: "content types/two", steps: []step{
		sendHeaders{fields: header("/"+service+"/Unary", "application/grpc", field{"content-type", "application/json"})}, sendData{body: grpc.body("Unary", 10), end: true},
	}})
	for _, te := range []string{"", "trailers, deflate", "Trailers", "trailers;q=1", "x"} {
		fields := replaced(header("/"+service+"/Unary", "application/grpc"), "te", te)
		all = append(all, call{name: fmt.Sprintf("te/%q", te), steps: []step{sendHeaders{fields: fields}, sendData{body: grpc.body("Unary", 10), end: true}}})
	}
	for _, name := range []string{"grpc", "grpcweb"} {
		w := wireNamed(name)
		fields := without(header("/"+service+"/Unary", w.unary), "te")
		all = append(all, call{name: w.name + "/te/none", steps: []step{sendHeaders{fields: fields}, sendData{body: w.body("Unary", 10), end: true}}})
	}
	return all
}

// targets are methods of HTTP and paths.
func targets() (all []call) {
	for _, w := range wires() {
		for _, method := range []string{"GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "post", "X"} {
			for _, path := range []string{"Unary", "Bidi", "None"} {
				fields := replaced(header("/"+service+"/"+path, w.contentType(path)), ":method", method)
				all = append(all,
					call{name: fmt.Sprintf("%s/targets/%s %s", w.name, method, path), steps: []step{sendHeaders{fields: fields}, sendData{body: w.body(path, 10), end: true}}},
					call{name: fmt.Sprintf("%s/targets/%s %s without a body", w.name, method, path), steps: []step{sendHeaders{fields: fields, end: true}}})
			}
		}
		base := "/" + service + "/"
		for _, path := range []string{
			"/", "//", "*", "", base, base + "None", base + "Unary/", base + "unary", "/" + base + "Unary", base + "Unary?a=b", base + "Unary?", base + "Un%61ry", base + "Unary#a", base + "Unary%00",
			"/test.differential.v1.None/Unary", "/x", "/Unary", base + "../" + service + "/Unary", base + "\u00e4", "http://test.example" + base + "Unary", base + strings.Repeat("p", 2000), base + "Unary x",
			base + "Unary%2", base + "%zz",
		} {
			fields := replaced(header("/", w.unary), ":path", path)
			all = append(all, call{name: fmt.Sprintf("%s/targets/path %.100q", w.name, path), steps: []step{sendHeaders{fields: fields}, sendData{body: w.body("Unary", 10), end: true}}})
		}
	}
	return all
}

// headerRules are header blocks that break a rule of RFC 9113, or seem to.
func headerRules() (all []call) {
	w := wireNamed("grpc")
	connect := wireNamed("connect")
	for _, w := range []wire{w, connect} {
		base := header("/"+service+"/Unary", w.unary)
		for name, fields := range map[string][]field{
			"no method":           without(base, ":method"),
			"no scheme":           without(base, ":scheme"),
			"no path":             without(base, ":path"),
			"no authority":        without(base, ":authority"),
			"host for authority":  append(without(base, ":authority"), field{"host", "test.example"}),
			"empty method":        replaced(base, ":method", ""),
			"empty scheme":        replaced(base, ":scheme", ""),
			"https":               replaced(base, ":scheme", "https"),
			"another scheme":      replaced(base, ":scheme", "ftp"),
			"empty authority":     replaced(base, ":authority", ""),
			"authority with user": replaced(base, ":authority", "user@test.example"),
			"odd authority":       replaced(base, ":authority", "a b"),
			"two paths":           append([]field{{":path", "/x"}}, base...),
			"two methods":         append([]field{{":method", "POST"}}, base...),
			"status":              append([]field{{":status", "200"}}, base...),
			"unknown pseudo":      append([]field{{":x", "1"}}, base...),
			"protocol":            append([]field{{":protocol", "websocket"}}, base...),
			"pseudo after field":  append(append([]field{{"x-a", "1"}}, base...), field{":path", "/x"}),
			"late pseudo":         append([]field{{"x-a", "1"}}, base...),
			"connect":             replaced(base, ":method", "CONNECT"),
			"real connect":        without(without(replaced(base, ":method", "CONNECT"), ":path"), ":scheme"),
		} {
			all = append(all, call{name: w.name + "/header rules/" + name, steps: []step{sendHeaders{fields: fields}, sendData{body: w.body("Unary", 10), end: true}}})
		}
		for name, fields := range map[string][]field{
			"pseudo":         {{":path", "/x"}},
			"upper case":     {{"X-End", "1"}},
			"connection":     {{"connection", "close"}},
			"content-length": {{"content-length", "3"}},
			"forbidden":      {{"content-type", "text/plain"}, {"te", "trailers"}},
			"line feed":      {{"x-a", "a\nb"}},
			"grpc-status":    {{"grpc-status", "3"}},
			"large":          {{"x-a", strings.Repeat("v", 20_000)}},
		} {
			all = append(all, call{name: w.name + "/header rules/trailer with " + name, steps: []step{
				w.open("Bidi"), sendData{body: w.body("Bidi", 10)}, sendHeaders{fields: fields, end: true},
			}})
		}
	}
	return all
}

// lengths say how long the body is.
func lengths() (all []call) {
	for _, w := range wires() {
		for _, method := range allShapes {
			body := w.body(method, 10)
			for name, length := range map[string]string{
				"right": fmt.Sprint(len(body)), "too small": fmt.Sprint(len(body) - 1), "too large": fmt.Sprint(len(body) + 1), "zero": "0", "negative": "-1", "no number": "x", "signed": "+1",
				"empty": "", "huge": "99999999999999999999", "limit": fmt.Sprint(limit + 6),
			} {
				all = append(all, w.whole("lengths/"+name+" in "+method, method, body, field{"content-length", length}))
			}
			all = append(all, w.whole("lengths/two that are equal in "+method, method, body, field{"content-length", fmt.Sprint(len(body))}, field{"content-length", fmt.Sprint(len(body))}))
			all = append(all, w.whole("lengths/two that are not in "+method, method, body, field{"content-length", fmt.Sprint(len(body))}, field{"content-length", "1"}))
			all = append(all, call{name: w.name + "/lengths/of no body in " + method, steps: []step{
				sendHeaders{fields: w.open(method, field{"content-length", "10"}).fields, end: true},
			}})
			if method == "ClientStream" || method == "Bidi" {
				all = append(all, call{name: w.name + "/lengths/exceeded while the handler waits in " + method, strict: true, steps: []step{
					w.open(method, field{"content-length", fmt.Sprint(len(body))}, do("recv", "wait")), sendData{body: body}, awaitReceived(1), sendData{body: []byte("more")}, awaitEnd(),
				}})
			}
			all = append(all, call{name: w.name + "/lengths/exceeded later in " + method, steps: []step{
				w.open(method, field{"content-length", fmt.Sprint(len(body))}), sendData{body: body}, sendData{body: []byte("more"), end: true},
			}})
		}
	}
	return all
}
