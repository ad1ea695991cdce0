module example.com/acme

go 1.26

require github.com/prismgate/prism v0.0.0

// Within Prism's repository the example uses Prism as it stands there. Your module has no such line.
replace github.com/prismgate/prism => ../..
