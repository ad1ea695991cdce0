-- A namespace's name is any bytes; its rows are keyed by its number.
create table namespaces (
    id integer generated always as identity primary key,
    name bytea not null unique
);

-- What all gateways must agree on, such as the key that page tokens are sealed under. Each is made once.
create table shared_secrets (
    name text primary key,
    value bytea not null
);

-- A row whose time is over is absent to every statement; the sweeper removes it some time.
create table kv (
    namespace integer not null,
    key bytea not null,
    value bytea not null,
    expires timestamptz,
    primary key (namespace, key)
);
create index kv_expires on kv (expires) where expires is not null;

-- Open transactions are not logged: a server that crashes ends them, and none of their calls waits for a disk.
create unlogged table kv_transactions (
    namespace integer not null,
    handle bytea not null,
    deadline timestamptz not null,
    primary key (namespace, handle)
);
create index kv_transactions_deadline on kv_transactions (deadline);

-- What a transaction has done to a key. seen is what it has read, null when the key was missing; value is what it will write, null when it will delete.
create unlogged table kv_transaction_keys (
    namespace integer not null,
    handle bytea not null,
    key bytea not null,
    read boolean not null,
    seen bytea,
    write boolean not null,
    value bytea,
    primary key (namespace, handle, key),
    foreign key (namespace, handle) references kv_transactions on delete cascade
);

-- The functions of transactions return a status: 0 it is done, 1 the transaction is not open, 2 it touches as many keys as it may, 3 its values would be too large, 4 something that it
-- has read has changed. Each locks the transaction first, so that calls that overlap come one after the other.

-- kv_transaction_write notes a value to write, or with null a key to delete.
create function kv_transaction_write(of_namespace integer, of_handle bytea, of_key bytea, of_value bytea) returns integer language plpgsql as $$
declare
    others bigint;
    bytes bigint;
begin
    perform from kv_transactions t where t.namespace = of_namespace and t.handle = of_handle and t.deadline > clock_timestamp() for update;
    if not found then
        return 1;
    end if;
    select count(*), coalesce(sum(octet_length(k.value)), 0) into others, bytes from kv_transaction_keys k
        where k.namespace = of_namespace and k.handle = of_handle and k.key <> of_key;
    if others >= 100 then
        return 2;
    end if;
    if bytes + octet_length(of_value) > 4 * 1024 * 1024 then
        return 3;
    end if;
    insert into kv_transaction_keys as k (namespace, handle, key, read, write, value) values (of_namespace, of_handle, of_key, false, true, of_value)
        on conflict (namespace, handle, key) do update set write = true, value = excluded.value;
    return 0;
end $$;

-- kv_transaction_read reads a key as the transaction sees it; current is null when it is missing.
create function kv_transaction_read(of_namespace integer, of_handle bytea, of_key bytea, out status integer, out current bytea) language plpgsql as $$
declare
    done kv_transaction_keys;
    touched bigint;
begin
    status := 1;
    perform from kv_transactions t where t.namespace = of_namespace and t.handle = of_handle and t.deadline > clock_timestamp() for update;
    if not found then
        return;
    end if;
    status := 0;
    select * into done from kv_transaction_keys k where k.namespace = of_namespace and k.handle = of_handle and k.key = of_key;
    if found then
        current := case when done.write then done.value else done.seen end;
        return;
    end if;
    select count(*) into touched from kv_transaction_keys k where k.namespace = of_namespace and k.handle = of_handle;
    if touched >= 100 then
        status := 2;
        return;
    end if;
    select kv.value into current from kv where kv.namespace = of_namespace and kv.key = of_key and (kv.expires is null or kv.expires > clock_timestamp());
    insert into kv_transaction_keys (namespace, handle, key, read, seen, write) values (of_namespace, of_handle, of_key, true, current, false);
end $$;

-- kv_transaction_commit ends the transaction, and applies it if what it has read still holds.
--
-- It locks the row of every key that the transaction touches, in the order of the keys, as every other statement on several keys does; a missing key is given a row for that, of a time
-- long past, which others wait for. So nothing that was read changes between the look at it and the moment at which all that was written becomes visible.
create function kv_transaction_commit(of_namespace integer, of_handle bytea) returns integer language plpgsql as $$
declare
    status integer := 0;
begin
    perform from kv_transactions t where t.namespace = of_namespace and t.handle = of_handle and t.deadline > clock_timestamp() for update;
    if not found then
        return 1;
    end if;
    -- "where false" changes no row that is there, but locks it.
    insert into kv (namespace, key, value, expires)
        select k.namespace, k.key, '', 'epoch' from kv_transaction_keys k where k.namespace = of_namespace and k.handle = of_handle order by k.key
        on conflict (namespace, key) do update set value = '' where false;
    perform from kv_transaction_keys k left join kv on kv.namespace = k.namespace and kv.key = k.key and (kv.expires is null or kv.expires > clock_timestamp())
        where k.namespace = of_namespace and k.handle = of_handle and k.read and k.seen is distinct from kv.value;
    if found then
        status := 4;
    else
        update kv set value = k.value, expires = null from kv_transaction_keys k
            where k.namespace = of_namespace and k.handle = of_handle and k.write and k.value is not null and kv.namespace = k.namespace and kv.key = k.key;
        delete from kv using kv_transaction_keys k
            where k.namespace = of_namespace and k.handle = of_handle and k.write and k.value is null and kv.namespace = k.namespace and kv.key = k.key;
    end if;
    delete from kv using kv_transaction_keys k
        where k.namespace = of_namespace and k.handle = of_handle and kv.namespace = k.namespace and kv.key = k.key and kv.expires = 'epoch';
    delete from kv_transactions t where t.namespace = of_namespace and t.handle = of_handle;
    return status;
end $$;
