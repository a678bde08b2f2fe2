-- `databases` of docker-compose.yml, at each `up`: a role and a database for each service that keeps one, which no other
-- service's role may enter. Changes what is not so yet, a role's password among it, the superuser's too. psql reads the passwords from files:
-- they are in no argument and no environment.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;

SELECT 'CREATE ROLE ' || quote_ident(name) || ' LOGIN' FROM unnest(ARRAY['order', 'analytics', 'storage']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT format('CREATE DATABASE %1$I OWNER %1$I ENCODING ''UTF8'' TEMPLATE template0', name)
  FROM unnest(ARRAY['order', 'analytics', 'storage']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE ALL ON DATABASE "order", analytics, storage FROM PUBLIC;

\set password `cat /run/secrets/postgres_password`
ALTER ROLE postgres PASSWORD :'password';
\set password `cat /run/secrets/order_password`
ALTER ROLE "order" PASSWORD :'password';
\set password `cat /run/secrets/analytics_password`
ALTER ROLE analytics PASSWORD :'password';
\set password `cat /run/secrets/storage_password`
ALTER ROLE storage PASSWORD :'password';
